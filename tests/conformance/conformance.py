#!/usr/bin/env python3
"""Conformance: Celery's own integration suite over resultstore, and build/conformance.json with what came out.

    scripts/services run -- python tests/conformance/conformance.py [--selection ci] [--runs A,B] [--modules X,Y]

Run by `make conformance`. Fails for a test that fails and is not in exceptions.toml, and for one that is and passes.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

from celery_source import Unavailable, suite  # noqa: E402 - found by the line above
from matrix import CI_PARTS, CI_RUNS, CONTROL, Part, Run, classes, environment, make_bucket, parts, runs, without_slow  # noqa: E402
from suite_process import Outcome, run_part  # noqa: E402
from verdict import complaints, exempt_tests, never_met  # noqa: E402

BUILD = ROOT / "build"
REPORT = BUILD / "conformance.json"


def main() -> int:
    """Run what was asked for; 1 when something is wrong with it, 2 when it cannot be run."""
    asked = _arguments()
    try:
        source = suite(BUILD / "conformance" / "source")
        chosen_runs = _chosen_runs(asked.runs or (CI_RUNS if asked.selection == "ci" else ()))
        chosen_parts = _chosen_parts(source, asked.modules or (CI_PARTS if asked.selection == "ci" else ()))
        if asked.selection == "ci":
            chosen_parts = [without_slow(part) for part in chosen_parts]
        make_bucket(os.environ)
    except (Unavailable, KeyError) as problem:
        print(f"conformance: {problem.args[0]}", file=sys.stderr)
        return 2
    wrong = []
    report: dict[str, dict[str, dict[str, int]]] = {}
    for run in chosen_runs:
        outcomes = _outcomes(run, chosen_parts, source=source, reruns=asked.reruns, report=report)
        wrong += _judged(run, outcomes, whole=not (asked.modules or asked.selection))
    print("\n".join(wrong) if wrong else "conformance: as it should be")
    return 1 if wrong else 0


def _outcomes(
    run: Run, chosen: Sequence[Part], *, source: Path, reruns: bool, report: dict[str, dict[str, dict[str, int]]]
) -> dict[str, Outcome]:
    """Run the parts one after the other; the report is written anew after each."""
    env = environment(run, os.environ)
    outcomes = {}
    for part in chosen:
        outcome = run_part(part, suite=source, folder=BUILD / "conformance" / run.name, env=env, reruns=reruns)
        outcomes[part.name] = outcome
        counts = outcome.counts()
        report.setdefault(run.name, {})[part.name] = counts
        REPORT.write_text(json.dumps(report, indent=2) + "\n")
        told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        print(f"{run.name:<32} {part.name:<42} {outcome.took_s:6.0f} s  {told} {outcome.broken}", flush=True)
    return outcomes


def _judged(run: Run, outcomes: Mapping[str, Outcome], *, whole: bool) -> list[str]:
    exempt = exempt_tests(HERE / "exceptions.toml")
    tests = {test: word for outcome in outcomes.values() for test, word in outcome.tests.items()}
    wrong = [f"{run.name}: {part}: {outcome.broken}" for part, outcome in outcomes.items() if outcome.broken]
    wrong += complaints(run.name, tests, exempt)
    return wrong + (never_met(run.name, tests, exempt) if whole else [])


def _chosen_runs(names: Sequence[str]) -> list[Run]:
    known = runs()
    if unknown := set(names) - known.keys():
        raise Unavailable(f"no such run: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names] or [run for run in known.values() if run.name != CONTROL]


def _chosen_parts(source: Path, names: Sequence[str]) -> list[Part]:
    modules, known = parts(source), classes(source) | parts(source)  # test_tasks is a module, and a class in it
    if unknown := set(names) - known.keys():
        raise Unavailable(f"no such module or class: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(modules.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conformance", description="Celery's own integration suite over resultstore")
    parser.add_argument("--runs", type=_names, default=(), help="names of runs, with commas; all but the control run")
    parser.add_argument("--modules", type=_names, default=(), help="modules or classes of the suite; all")
    parser.add_argument("--selection", choices=["ci"], help="what CI runs, within six minutes")
    parser.add_argument("--no-reruns", dest="reruns", action="store_false", help="report a failure at its first")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
