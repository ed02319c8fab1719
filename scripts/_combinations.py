"""Combinations: the entries of tests/versions.toml, and the results that are kept of them."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _install import locked

ROOT = Path(__file__).resolve().parent.parent
COMBINATIONS = ROOT / "tests" / "versions.toml"
KEPT = ROOT / "tests" / "versions.json"
LIMIT_S = 900

Result = dict[str, Any]


@dataclass(frozen=True)
class Combination:
    """One combination of versions. What it leaves empty is what `make test` has.

    Args:
        name: on the command line, in the results and on the page.
        pytest_args: the tests of each of its selections.
        packages: entries of constraints/variants.toml.
        python: a version of Python, such as 3.12.
        servers: entries of [servers].
        limit_s: the time limit, in seconds.
        apart: True if it runs only when it is named.
        note: for the page.
    """

    name: str
    pytest_args: tuple[tuple[str, ...], ...]
    packages: tuple[str, ...]
    python: str
    servers: tuple[str, ...]
    limit_s: int
    apart: bool
    note: str


def combinations() -> dict[str, Combination]:
    """Return all combinations by name, in the order of the file."""
    listed = tomllib.loads(COMBINATIONS.read_text())
    return {name: _combination(name, entry, listed) for name, entry in listed["combinations"].items()}


def servers() -> Mapping[str, Mapping[str, str]]:
    """Return where the program of each server comes from, by the server's name."""
    found: Mapping[str, Mapping[str, str]] = tomllib.loads(COMBINATIONS.read_text())["servers"]
    return found


def kept_results() -> dict[str, Result]:
    """Return the results of tests/versions.json by the names of the combinations."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def keep_result(name: str, result: Result) -> None:
    """Write the newest result of a combination. One that could not be had does not replace what was measured."""
    with locked(ROOT / "build" / "versions.lock"):
        kept = kept_results()
        if result["outcome"] == "not tested" and kept.get(name, result)["outcome"] != "not tested":
            return
        known = combinations()
        kept = {one: found for one, found in {**kept, name: result}.items() if one in known and not known[one].apart}
        KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n")


def _combination(name: str, entry: Mapping[str, Any], listed: Mapping[str, Any]) -> Combination:
    left_out = tuple(f"--deselect={test}" for test in entry.get("leave_out", ()))
    return Combination(
        name=name,
        pytest_args=tuple((*listed["tests"][one], *left_out) for one in entry["tests"]),
        packages=tuple(entry.get("packages", ())),
        python=entry.get("python", ""),
        servers=tuple(entry[kind] for kind in ("redis", "rabbitmq") if kind in entry),
        limit_s=entry.get("limit_s", LIMIT_S),
        apart=entry.get("apart", False),
        note=entry.get("note", ""),
    )
