"""Celery's own pytest plugin, which pytest-celery before 1.0 switched on: `celery_app` and `celery_worker`."""

import subprocess
import sys
from pathlib import Path

from celery import Celery

from resultstore.backends.celery import setup
from resultstore.backends.celery.capture.registry import is_task_captured

MODULE = """
import pytest

from resultstore import Output
from resultstore.backends.celery import setup

PLUGINS


@pytest.fixture(scope="session")
def celery_config():
    return {
        "broker_url": "memory://",
        "result_backend": "resultstore+REDIS_URL",
        "resultstore_blobs_url": "file://FOLDER",
        "broker_transport_options": {"polling_interval": 0.01},
    }


def test_worker_of_the_plugin_stores_an_output(celery_app, celery_worker):
    setup(celery_app)

    @celery_app.task
    def double(text):
        return Output(data=text.encode() * 2, name="double.txt")

    celery_worker.reload()
    made = double.delay("d" * 30_000).get(timeout=30)
    assert (made.name, made.size_bytes) == ("double.txt", 60_000)
"""


def test_plugins_worker_stores_an_output(redis_url: str, tmp_path: Path):
    run_module(redis_url, tmp_path, plugins='pytest_plugins = ("celery.contrib.pytest",)')


def test_setup_of_a_finalized_app_captures_later_tasks():
    app = Celery("finalized", backend="resultstore+memory://", set_as_current=False)
    assert app.tasks
    setup(app)

    @app.task(name="later", shared=False)
    def later() -> None:
        """Of an app that has started its worker."""

    assert is_task_captured(app.tasks["later"])


def run_module(redis_url: str, folder: Path, *, plugins: str) -> None:
    """Run the test above by a pytest of its own, in which the plugin is loaded."""
    text = MODULE.replace("REDIS_URL", redis_url).replace("FOLDER", f"{folder}/blobs").replace("PLUGINS", plugins)
    (folder / "test_app.py").write_text(text)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"],
        cwd=folder, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6_000:]
    assert "1 passed" in done.stdout
