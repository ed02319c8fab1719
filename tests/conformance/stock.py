"""Stock: how each version's suite ended over Celery's own Redis backend, the baseline of the other runs.

`stock/celery-VERSION.json` is written by a whole run of `control-redis` with `--record`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "stock"


def failing_in_stock(celery: str) -> frozenset[str]:
    """Return the tests that fail with stock software; empty where no baseline is recorded."""
    path = _path(celery)
    return frozenset(json.loads(path.read_text())["failed"]) if path.exists() else frozenset()


def record(celery: str, tests: Mapping[str, str]) -> Path:
    """Write the baseline: how many tests ended how, and the names of those that failed."""
    path = _path(celery)
    path.parent.mkdir(exist_ok=True)
    failed = sorted(name for name, outcome in tests.items() if outcome == "failed")
    told = {"counts": dict(sorted(Counter(tests.values()).items())), "failed": failed}
    path.write_text(json.dumps(told, indent=2) + "\n")
    return path


def _path(celery: str) -> Path:
    return FOLDER / f"celery-{celery}.json"
