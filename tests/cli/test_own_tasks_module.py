"""`resultstore worker` in a folder with modules of the user's own."""

import os
import subprocess
import sys
import uuid

from tests.cli.conftest import FOREIGN
from tests.uploads.telling import until

USERS = 'raise SystemExit("the worker has imported the user\'s module")\n'


def test_worker_runs_beside_users_tasks_module(place):
    for name in ("tasks", "app", "samples"):
        (place.folder / f"{name}.py").write_text(USERS)
    log = place.folder / "worker.log"
    rest = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    variables = place.variables() | {"RESULTSTORE_BROKER_QUEUE": f"own-{uuid.uuid4().hex}"}

    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "resultstore.cli", "worker", "--concurrency", "1"],
            cwd=place.folder,
            env=rest | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: " ready." in log.read_text() or worker.poll() is not None, "the worker has started or ended")
            text = log.read_text()
        finally:
            worker.terminate()
            worker.wait(30)

    assert " ready." in text, text
    assert "images.resize" in text
