"""Verdict: what the outcomes of a run mean beside the list of known exceptions."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import indent
from typing import Any

PASSES = frozenset({"passed", "xpassed"})


@dataclass(frozen=True)
class Exempt:
    """A test that fails in these runs (patterns of their names), and why that is right.

    `celery` has patterns of the versions of Celery whose suites it is about; all, if the entry names none.
    """

    test: str
    runs: tuple[str, ...]
    reason: str
    celery: tuple[str, ...] = ("*",)

    def covers(self, run: str) -> bool:
        """Return True if it is about this run."""
        return any(fnmatchcase(run, pattern) for pattern in self.runs)


def exempt_tests(path: Path, *, celery: str = "") -> tuple[Exempt, ...]:
    """Return the list at `path`: the entries about this version of Celery, or all.

    Raises ValueError for an entry without a test, runs and a reason.
    """
    entries = _entries(path, "exception", needed=("test", "runs", "reason"))
    found = (Exempt(one["test"], tuple(one["runs"]), one["reason"], tuple(one.get("celery", ["*"]))) for one in entries)
    return tuple(one for one in found if not celery or any(fnmatchcase(celery, pattern) for pattern in one.celery))


def racy_tests(path: Path) -> frozenset[str]:
    """The tests in the list at `path` that race with themselves, and so are run again. Raises ValueError as above."""
    return frozenset(one["test"] for one in _entries(path, "racy", needed=("test", "reason")))


def _entries(path: Path, kind: str, *, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text()).get(kind, [])
    for entry in entries:
        if not all(str(entry.get(name) or "").strip() for name in needed):
            raise ValueError(f"{path.name}: every entry of {kind} names its {', its '.join(needed)}: {entry}")
    return entries


def complaints(
    run: str,
    tests: Mapping[str, str],
    exempt: Iterable[Exempt],
    *,
    why: Mapping[str, str] | None = None,
    stock: Collection[str] = (),
) -> list[str]:
    """What is wrong with these outcomes: unlisted failures, and listed tests that pass; empty when all is well.

    Args:
        run: its name.
        tests: the outcome of each test.
        exempt: the list.
        why: what a test said when it failed, where that is known.
        stock: the tests that fail over Celery's own Redis backend: a failure of one is no difference.
    """
    listed = {one.test: one for one in exempt if one.covers(run)}
    found = []
    for test, outcome in tests.items():
        is_listed = test in listed or test.partition("[")[0] in listed
        if outcome == "failed" and not is_listed and test not in stock:
            said = (why or {}).get(test, "")
            found.append(f"{run}: {test} failed" + (f"\n{indent(said, '    ')}" if said else ""))
        if outcome in PASSES and is_listed:
            found.append(f"{run}: {test} passes: take it out of exceptions.toml")
    return found


def never_met(run: str, tests: Iterable[str], exempt: Iterable[Exempt]) -> list[str]:
    """Listed tests that a whole run did not have: the list is older than the suite."""
    seen = {name for test in tests for name in (test, test.partition("[")[0])}
    return [
        f"{run}: {one.test} is in exceptions.toml and not in the suite"
        for one in exempt
        if one.covers(run) and one.test not in seen
    ]
