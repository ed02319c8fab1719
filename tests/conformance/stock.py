"""Stock: how each version's suite ended over Celery's own Redis backend, the baseline of the other runs.

`stock/celery-VERSION.json` is written by a whole run of `control-redis` with `--record`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

# An xfailed test documents a fault of Celery's own backend by asserting it: it may well fail over one without it.
FAILING = ("failed", "xfailed")
FOLDER = Path(__file__).resolve().parent / "stock"


def failing_in_stock(celery: str) -> frozenset[str]:
    """Return the tests that fail with stock software, also as upstream expects; empty without a baseline."""
    path = _path(celery)
    told = json.loads(path.read_text()) if path.exists() else dict.fromkeys(FAILING, ())
    return frozenset(name for word in FAILING for name in told[word])


def record(celery: str, tests: Mapping[str, str]) -> Path:
    """Write the baseline: how many tests ended how, and the names of those that failed."""
    path = _path(celery)
    path.parent.mkdir(exist_ok=True)
    names = {word: sorted(name for name, outcome in tests.items() if outcome == word) for word in FAILING}
    told = {"counts": dict(sorted(Counter(tests.values()).items())), **names}
    path.write_text(json.dumps(told, indent=2) + "\n")
    return path


def _path(celery: str) -> Path:
    return FOLDER / f"celery-{celery}.json"
