#!/usr/bin/env python3
"""Conformance: runs Celery's own integration suite and Dramatiq's tests of results over resultstore.

    scripts/services run -- python tests/conformance/conformance.py [--selection ci] [--runs A,B] [--modules X,Y]

Run by `make conformance`; writes build/conformance-VERSION.json. The suite is of the Celery that is installed where it
runs. Fails for a test that fails here, passes with Celery's own Redis backend and is not in exceptions.toml; and for
one in that list that passes.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

import dramatiq_suite  # noqa: E402 - found by the line above
import stock  # noqa: E402
from matrix import (  # noqa: E402
    CI_PARTS,
    CI_RUNS,
    CONTROL,
    SETTINGS_PART,
    Part,
    Run,
    classes,
    environment,
    hurried,
    make_bucket,
    parts,
    runs,
    without_slow,
)
from sources import Unavailable, celery_suite, dramatiq_tests  # noqa: E402
from suite_process import Outcome, run_part  # noqa: E402
from verdict import complaints, exempt_tests, never_met  # noqa: E402

BUILD = ROOT / "build"
CELERY = version("celery")
REPORT = BUILD / f"conformance-{CELERY}.json"
SOURCES = BUILD / "conformance" / "source"
RUNS_FOLDER = BUILD / "conformance" / f"celery-{CELERY}"


def main() -> int:
    """Run what was asked for; 1 when something is wrong with it, 2 when it cannot be run."""
    asked = _arguments()
    in_ci = asked.selection == "ci"
    try:
        names = _chosen_runs(asked.runs or (CI_RUNS if in_ci else ()), modules=asked.modules)
        suite, tests = celery_suite(SOURCES), dramatiq_tests(SOURCES)
        chosen = _chosen_parts(suite, asked.modules, in_ci=in_ci)
        make_bucket(os.environ)
    except (Unavailable, KeyError) as problem:
        print(f"conformance: {problem.args[0]}", file=sys.stderr)
        return 2
    report = Report()
    wrong = []
    for name in names:
        if name in dramatiq_suite.RUNS:
            outcome = dramatiq_suite.run_dramatiq(name, tests=tests, folder=RUNS_FOLDER / name)
            report.add(name, dramatiq_suite.PART, outcome)
            wrong += _judged(name, {dramatiq_suite.PART: outcome}, whole=False)
        else:
            run = hurried(runs()[name]) if in_ci else runs()[name]
            outcomes = _outcomes(run, chosen, suite=suite, reruns=asked.reruns, report=report)
            whole = not (asked.modules or asked.selection)
            wrong += _judged(name, outcomes, whole=whole)
            if asked.record and whole and name == CONTROL:
                print(f"recorded in {stock.record(CELERY, _tests(outcomes)).relative_to(ROOT)}")
    print("\n".join(wrong) if wrong else "conformance: as it should be")
    return 1 if wrong else 0


class Report:
    """build/conformance-VERSION.json, written after each module: how many of its tests passed, failed and so on."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, dict[str, int]]] = {}

    def add(self, run: str, part: str, outcome: Outcome) -> None:
        """Print the outcome of one module."""
        counts = outcome.counts()
        self._counts.setdefault(run, {})[part] = counts
        REPORT.write_text(json.dumps(self._counts, indent=2) + "\n")
        shown = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        print(f"{run:<32} {part:<42} {outcome.took_s:6.0f} s  {shown} {outcome.broken}", flush=True)


def _outcomes(run: Run, chosen: Sequence[Part], *, suite: Path, reruns: bool, report: Report) -> dict[str, Outcome]:
    """Run the parts of Celery's suite one after the other."""
    env = environment(run, os.environ)
    outcomes = {}
    for part in chosen:
        if run.name == CONTROL and part.name == SETTINGS_PART:
            continue  # unit tests of our backend
        outcomes[part.name] = run_part(part, suite=suite, folder=RUNS_FOLDER / run.name, env=env, reruns=reruns)
        report.add(run.name, part.name, outcomes[part.name])
    return outcomes


def _judged(run: str, outcomes: Mapping[str, Outcome], *, whole: bool) -> list[str]:
    exempt = exempt_tests(HERE / "exceptions.toml", celery=CELERY)
    tests = _tests(outcomes)
    wrong = [f"{run}: {part}: {outcome.broken}" for part, outcome in outcomes.items() if outcome.broken]
    why = {test: counts for outcome in outcomes.values() for test, counts in outcome.why.items()}
    wrong += complaints(run, tests, exempt, why=why, stock=stock.failing_in_stock(CELERY))
    return wrong + (never_met(run, tests, exempt) if whole else [])


def _tests(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    return {test: word for outcome in outcomes.values() for test, word in outcome.tests.items()}


def _chosen_runs(names: Sequence[str], *, modules: Sequence[str]) -> list[str]:
    ours = {*runs(), *dramatiq_suite.RUNS}
    if unknown := set(names) - ours:
        raise Unavailable(f"no such run: {', '.join(sorted(unknown))}; there are {', '.join(sorted(ours))}")
    celery = [name for name in runs() if name != CONTROL]
    return list(names) or celery + ([] if modules else list(dramatiq_suite.RUNS))  # modules are of Celery's suite


def _chosen_parts(source: Path, names: Sequence[str], *, in_ci: bool) -> list[Part]:
    modules, known = parts(source), classes(source) | parts(source)  # test_tasks is a module, and a class in it
    if unknown := set(names) - known.keys():
        raise Unavailable(f"no such module or class: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if in_ci:
        names = names or [name for name in CI_PARTS if name in known]  # older suites have fewer modules
        return [without_slow(known[name]) for name in names]
    return [known[name] for name in names] or list(modules.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance", description="Celery's and Dramatiq's own tests over resultstore"
    )
    parser.add_argument("--runs", type=_names, default=(), help="names of runs, with commas; all but the control run")
    parser.add_argument("--modules", type=_names, default=(), help="modules or classes of the suite; all")
    parser.add_argument("--selection", choices=["ci"], help="what CI runs, within six minutes")
    parser.add_argument("--record", action="store_true", help="keep a whole control-redis as the version's baseline")
    parser.add_argument("--no-reruns", dest="reruns", action="store_false", help="report a failure at its first")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
