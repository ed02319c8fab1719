"""Sentry's Celery integration: it replaces the bodies of tasks when a worker builds its tracer."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("sentry_program.py")


def test_sentry_reports_and_values_stay_captured(redis_url: str, tmp_path: Path):
    # In a process of its own: the integration replaces functions of Celery for good.
    done = subprocess.run(
        [sys.executable, PROGRAM, redis_url, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.split() == [
        "artifacts:made.txt",
        "captured:True",
        "events:ValueError",
        "transactions:double,fails,make",
    ]


def test_our_import_leaves_the_worker_to_instrument():
    program = "import sys, resultstore.backends.celery; sys.exit('celery.worker.consumer' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
