"""Any supported version of Celery behaves like the newest; another one is refused in one sentence."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.app.task import Context
from celery.backends import base

from resultstore.backends.celery import compat
from tests.backends.celery.celery_versions import since

OLD = """
import celery
celery.__version__ = "5.3.6"
from celery import Celery
app = Celery(backend="resultstore+memory://", set_as_current=False)
app.backend
"""
IGNORED = [(task, message) for task in (False, True) for message in (None, False, True)]


@pytest.mark.parametrize("version", ["4.4.7", "5.3.6", "5.3.6rc1"])
def test_old_version_is_refused_in_one_sentence(version):
    with pytest.raises(ImportError) as refused:
        compat.check_version(version)
    assert str(refused.value) == (
        f"Celery {version} is installed, and resultstore supports Celery 5.4 to 5.7: run pip install 'celery>=5.4,<6'"
    )


@pytest.mark.parametrize("version", ["5.4.0", "5.5.3", "5.6.3", "5.7.0", "5.10.1", "5.8.0rc1"])
def test_supported_version_gives_no_warning(version):
    with warnings.catch_warnings(action="error"):
        compat.check_version(version)


def test_new_major_version_gives_a_warning():
    with pytest.warns(UserWarning, match=r"Celery 6\.0\.1 is installed.*5\.4 to 5\.7: run pip install"):
        compat.check_version("6.0.1")


def test_import_refuses_a_version_that_is_too_old():
    done = subprocess.run([sys.executable, "-c", OLD], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: Celery 5.3.6 is installed"), done.stderr


def test_two_apps_of_one_process_announce_their_tasks():
    apps = [
        Celery(broker="memory://", backend="resultstore+memory://?blobs=memory://", set_as_current=False)
        for _ in range(2)
    ]
    for app in apps:
        found = app.send_task("any")
        assert app.backend.task_result_exists(found.id)


def test_compressed_payload_is_read_again():
    assert compat.decompress_payload(compat.compress_payload(b"{}" * 500, "gzip")) == b"{}" * 500
    assert compat.decompress_payload('{"a": 1}') == '{"a": 1}'


@since("5.7", "result_compression")
def test_compressed_payload_is_that_of_celery():
    assert base.decompress_payload(compat.compress_payload(b"{}" * 500, "gzip")) == b"{}" * 500
    assert compat.decompress_payload(base.compress_payload(b"{}" * 500, "bzip2")) == b"{}" * 500


@pytest.mark.parametrize(("task", "message"), IGNORED)
def test_value_is_ignored_if_celery_stores_none(task, message):
    """Of a task that ignores its value, a message has the value stored since Celery 5.6."""
    request = Context() if message is None else Context(ignore_result=message)
    answer = compat.get_actual_ignore_result(SimpleNamespace(ignore_result=task), request)
    overrides = hasattr(__import__("celery.app.trace", fromlist=["trace"]), "get_actual_ignore_result")
    assert answer is (message if message is not None and overrides else task or bool(message))
