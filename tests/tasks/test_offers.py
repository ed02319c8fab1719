"""Offers: one declaration of each shipped task, which the gateway reads without the libraries of the work."""

import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

from resultstore import Artifact, WrongType
from resultstore_tasks.app import app
from resultstore_tasks.offers import TASK_MODULES, offers

HEAVY = {"celery", "matplotlib", "numpy", "pyarrow", "pyvips", "reportlab", "safetensors", "sklearn", "skops"}


@pytest.fixture(scope="module")
def registered():
    """Return every task of the worker that the package declares, by its name; other tests share tasks with all apps."""
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if task.__module__.startswith("resultstore_tasks.")}


def test_worker_registers_exactly_the_offered_tasks(registered):
    assert set(registered) == set(offers)


def test_every_task_module_of_the_package_is_included():
    package = Path(sys.modules["resultstore_tasks"].__file__).parent
    assert {f"resultstore_tasks.{path.parent.name}.task" for path in package.glob("*/task.py")} == set(TASK_MODULES)


@pytest.mark.parametrize("name", sorted(offers))
def test_signature_of_task_is_its_offer(name, registered):
    takes = signature(registered[name].run).parameters
    fields = offers[name].arguments.model_fields
    assert list(takes) == ["source"] * bool(offers[name].takes) + list(fields)
    assert all(takes[field].default == fields[field].default for field in fields if not fields[field].is_required())
    assert not offers[name].takes or takes["source"].annotation is Artifact


def test_offers_are_listed_in_their_declared_order():
    assert next(iter(offers)) == "images.resize"
    positions = [one.position for one in offers.values()]
    assert positions == sorted(set(positions))


def test_offers_load_no_library_of_the_work():
    code = f"import sys, resultstore_tasks.offers; print(sorted({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stderr


def test_gateway_leaves_defaults_to_the_task():
    assert offers["images.resize"].checked({"widths": [200]}) == {"widths": [200]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [0]},
        {"widths": [True]},
        {"widths": ["200"]},
        {"widths": [200] * 13},
        {"format": "svg"},
        {"source": {"id": "another"}},
        {"format": "webp", "path": "/etc/passwd"},
    ],
)
def test_gateway_names_the_argument_that_it_refuses(arguments):
    wrong = list(arguments)[-1]
    with pytest.raises(WrongType, match=wrong):
        offers["images.resize"].checked(arguments)


@pytest.mark.parametrize("task", ["tables.convert", "tables.preview", "pdf.report", "models.train"])
def test_tables_may_be_tab_separated(task):
    assert set(offers[task].takes) == {"text/csv", "text/tab-separated-values"}
