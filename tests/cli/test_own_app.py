"""`--app`: a user's own Celery app in the worker and the gateway commands."""

import json
import os
import subprocess
import sys

import pytest

APP = """
from celery import Celery
from resultstore import Offer, Options
from resultstore.backends.celery import offered, setup

app = Celery("shop", broker="memory://", backend="{backend}", set_as_current=False)
{setup}


class Size(Options):
    width: int = 3


@offered(app, Offer(task="shop.copy", title="Copy", takes=("image/*",), arguments=Size))
def copy(source, options):
    return options.width
"""
GATEWAY = """
import json, sys
from resultstore.cli import serve
from resultstore.gateway.tasks.routes import offers_view
import resultstore.gateway.listeners as module
def shown(settings, compose, *, store, fds):
    app = compose(store)
    print(json.dumps({"offers": sorted(app.state.offers), "dispatcher": type(app.state.dispatcher).__name__,
        "index": settings.index.url, "one": app.state.store is store}))
module.serve = shown
from resultstore.cli.app import run_command
sys.exit(run_command(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def write(folder, *, backend="resultstore+memory://", setup="setup(app)", name="shop.py"):
    (folder / name).write_text(APP.format(backend=backend, setup=setup))


def run(folder, *argv, code=None):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RESULTSTORE_", "CELERY_"))}
    command = [sys.executable, "-c", code, *argv] if code else [sys.executable, "-m", "resultstore.cli", *argv]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False, timeout=60)


def test_gateway_offers_what_the_app_declares(folder):
    write(folder)

    done = run(folder, "gateway", "--app", "shop:app", code=GATEWAY)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"offers": ["shop.copy"], "dispatcher": "CeleryDispatcher", "index": "memory://", "one": True}


def test_named_offers_replace_the_declared_ones(folder):
    write(folder)
    (folder / "few.py").write_text("from resultstore import Offer\nmine = [Offer(task='shop.other', title='Other')]\n")

    done = run(folder, "gateway", "--app", "shop:app", "--offers", "few:mine", code=GATEWAY)

    assert json.loads(done.stdout)["offers"] == ["shop.other"], done.stderr


@pytest.mark.parametrize(
    ("command", "given", "name", "told"),
    [
        ("gateway", {"backend": "redis://"}, "shop:app", "result backend is not resultstore"),
        ("worker", {"setup": ""}, "shop:app", "call resultstore.backends.celery.setup(app)"),
        ("gateway", {}, "nowhere:app", "no Celery app 'nowhere:app'"),
        ("reconcile", {}, "shop:other", "no Celery app 'shop:other'"),
    ],
)
def test_a_wrong_app_is_named_with_the_remedy(folder, command, given, name, told):
    write(folder, **given)

    done = run(folder, command, "--app", name)

    assert done.returncode == 1, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_app_without_offers_is_refused(folder):
    bare, _, _ = APP.partition("class Size")
    (folder / "bare.py").write_text(bare.format(backend="resultstore+memory://", setup="setup(app)"))

    done = run(folder, "gateway", "--app", "bare:app")

    assert done.returncode == 1
    assert "offers no task" in done.stderr
