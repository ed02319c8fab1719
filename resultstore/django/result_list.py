"""ResultPage: one page of the results in the index, filtered by state and text."""

from collections import Counter
from typing import Final

import msgspec

from resultstore.model.result import Result
from resultstore.store import Store

PAGE_SIZE: Final = 50
LIMIT: Final = 10_000  # small records, read a thousand in one round trip: Redis keeps no order of all results


class ResultPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some results, the newest first.

    Args:
        results: those of this page, with their Artifacts.
        states: how many results match the text, by state.
        total: how many match text and state.
        number: which page this is, from 1.
        pages: how many there are.
        complete: False if the index holds more than `LIMIT` results, of which some were left out.
    """

    results: list[Result]
    states: dict[str, int]
    total: int
    number: int
    pages: int
    complete: bool


def list_results(store: Store, *, state: str = "", text: str = "", number: int = 1) -> ResultPage:
    """Return one page of the results.

    Args:
        store: where they are.
        state: only results in this state; "": in any.
        text: only results whose id, task or owner contains it, in any case.
        number: the page, from 1; a number beyond the last one gives the last page.
    """
    ids = list(store.ids(limit=LIMIT))
    known = [one for one in store.peek_many(ids) if one is not None and _matches(one, text.strip().lower())]
    if not known and text.strip() and (found := store.load(text.strip())):
        known = [found]  # sealed, and not in the index any more
    states = Counter(str(one.state) for one in known)
    chosen = sorted((one for one in known if state in {"", one.state}), key=_age)
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    number = min(max(1, number), pages)
    shown = store.load_many([one.id for one in chosen[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]])
    return ResultPage(
        results=[one for one in shown if one is not None],
        states=dict(sorted(states.items())),
        total=len(chosen),
        number=number,
        pages=pages,
        complete=len(ids) < LIMIT,
    )


def _matches(result: Result, text: str) -> bool:
    return any(text in one.lower() for one in (result.id, result.task, result.owner))


def _age(result: Result) -> tuple[float, str]:
    return -(result.created_at or result.changed_at or 0), result.id
