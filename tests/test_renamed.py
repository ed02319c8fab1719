"""Modules that were renamed: the documented names of the last release work and warn."""

import importlib
import sys

import pytest

RENAMED = [
    ("resultstore.backends.celery.trial", "resultstore.backends.celery.testing", "eager"),
    ("resultstore.backends.celery.trial", "resultstore.backends.celery.testing", "working"),
    ("resultstore.gateway.served.bytes_app", "resultstore.gateway.local_bytes.app", "create_bytes_app"),
    ("resultstore.owner_lists", "resultstore.ops.owner_lists", "erase"),
]


@pytest.mark.parametrize(("old", "new", "name"), RENAMED)
def test_old_name_of_module_works_and_warns(old, new, name):
    sys.modules.pop(old, None)

    with pytest.warns(DeprecationWarning, match=new):
        module = importlib.import_module(old)

    assert getattr(module, name) is getattr(importlib.import_module(new), name)
