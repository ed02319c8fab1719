"""Bidirectional text: the level of each character, and the order in which runs are drawn (Unicode Annex 9).

python-bidi returns whole lines in visual order; shaping needs the levels. Its steps are called one by one, with the
rule of brackets (N0) added between them.
"""

import unicodedata
from itertools import groupby
from typing import Any, Final, TypeVar

from bidi import algorithm
from bidi.mirror import MIRRORED

T = TypeVar("T")

_STRONG: Final = {"L": "L", "R": "R", "AL": "R", "EN": "R", "AN": "R"}  # numbers count as right to left (rule N0)


def levels_of(text: str) -> list[int]:
    """Return the embedding level of each character; odd ones are drawn from right to left."""
    storage = algorithm.get_empty_storage()
    base = algorithm.get_base_level(text)
    storage["base_level"], storage["base_dir"] = base, ("L", "R")[base]
    algorithm.get_embedding_levels(text, storage)
    for n, one in enumerate(storage["chars"]):
        one["index"] = n
        one["type"] = one["type"] or "L"  # a code point that is not assigned
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    _resolve_brackets(storage["chars"])
    algorithm.resolve_neutral_types(storage, debug=False)
    algorithm.resolve_implicit_levels(storage, debug=False)
    known = {one["index"]: one["level"] for one in storage["chars"]}
    levels: list[int] = []
    for n in range(len(text)):  # rule X9 removes joiners: they have the level of the character before
        levels.append(known.get(n, levels[-1] if levels else base))
    return levels


def in_visual_order(runs: list[tuple[int, T]]) -> list[T]:
    """Return runs, each given with its level, from left to right (rule L2)."""
    for level in range(max((one for one, _ in runs), default=0), 0, -1):
        ordered: list[tuple[int, T]] = []
        for is_within, group in groupby(runs, key=lambda one: one[0] >= level):
            part = list(group)
            ordered += part[::-1] if is_within else part
        runs = ordered
    return [run for _, run in runs]


def mirrored(text: str) -> str:
    """Return the characters of a line without letters as they are drawn from right to left."""
    return "".join(MIRRORED.get(one, one) for one in reversed(text))


def _resolve_brackets(chars: list[dict[str, Any]]) -> None:
    """Give the two brackets of a pair the direction of what they enclose, or of what precedes them (rule N0)."""
    for start, end in _bracket_pairs(chars):
        own = "L" if chars[start]["level"] % 2 == 0 else "R"
        inside = {_STRONG[one["type"]] for one in chars[start + 1 : end] if one["type"] in _STRONG}
        if not inside:
            continue
        earlier = reversed(chars[:start])
        before = next((_STRONG[one["type"]] for one in earlier if one["type"] in _STRONG), own)
        chars[start]["type"] = chars[end]["type"] = own if own in inside else before


def _bracket_pairs(chars: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return the positions of opening and closing brackets that belong together (definition BD16), in order."""
    open_at: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for n, one in enumerate(chars):
        kind = unicodedata.category(one["ch"]) if one["type"] == "ON" else ""
        if kind == "Ps":
            open_at.append((MIRRORED.get(one["ch"], ""), n))
        elif kind == "Pe" and any(closing == one["ch"] for closing, _ in open_at):
            while open_at[-1][0] != one["ch"]:
                open_at.pop()
            pairs.append((open_at.pop()[1], n))
    return sorted(pairs)
