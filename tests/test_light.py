"""Workers import no library that only the gateway or the command line needs: users pay for it in each process."""

import subprocess
import sys
from importlib import import_module

import pytest

WORKER = """
import sys
from celery import Celery
from resultstore import Settings, connect
from resultstore.backends.celery import setup
app = Celery(backend="resultstore+memory://", set_as_current=False)
setup(app)
app.backend
print(sorted({"boto3", "fastapi", "pydantic", "rich", "structlog", "typer"} & sys.modules.keys()))
"""


def test_worker_loads_no_gateway_or_cli_library():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WORKER], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stderr


def test_offers_are_importable_from_the_package():
    import resultstore  # noqa: PLC0415 - the same package, asked by name
    from resultstore.dispatch import offers  # noqa: PLC0415 - after the package

    assert [resultstore.Offer, resultstore.Offers, resultstore.Options] == [offers.Offer, offers.Offers, offers.Options]
    with pytest.raises(AttributeError, match="Nothing"):
        _ = resultstore.Nothing


PUBLIC = """
import sys
import resultstore.dispatch, resultstore.gateway
print(sorted({"fastapi", "pydantic", "uvicorn"} & sys.modules.keys()))
from resultstore.backends.celery import CeleryDispatcher, offered, offers_of
from resultstore.dispatch import Dispatcher, Offer, Offers, Options, Order, announce, withdraw
from resultstore.gateway import Caller, create_app, create_bytes_app, serve
functions = (CeleryDispatcher, offered, offers_of, announce, withdraw, create_app, create_bytes_app, serve)
print(all(map(callable, functions)))
"""


def test_public_names_load_only_when_asked():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PUBLIC], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n", done.stderr


@pytest.mark.parametrize("package", ["resultstore.gateway", "resultstore.dispatch", "resultstore.backends.celery"])
def test_unknown_names_of_packages_are_errors(package):
    with pytest.raises(AttributeError, match="Nothing"):
        _ = import_module(package).Nothing
