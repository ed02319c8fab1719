"""django-celery-beat: a schedule of periodic tasks in Django's database; what it sends ends in our backend."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("django_beat_program.py")


def test_scheduled_task_ends_in_our_backend(redis_url: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, PROGRAM, redis_url, tmp_path], capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.split() == ["nightly", "SUCCESS", "30000", "runs:1"]
