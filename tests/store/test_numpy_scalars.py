"""Scalars of numpy: accepted in metadata as the values that they hold."""

import math
import subprocess
import sys

import numpy as np
import pytest

from resultstore import Store, WrongType
from resultstore.store.numpy_scalars import plain_scalar

SCALARS = [
    (np.int64(3), 3), (np.uint8(255), 255), (np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.bool_(True), True),
    (np.str_("a"), "a"), (np.longdouble(0.5), 0.5), (np.float16(2), 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("scalar", "plain"), SCALARS, ids=lambda one: type(one).__name__)
def test_metadata_takes_scalars_of_numpy(store: Store, scalar: object, plain: object):
    artifact = store.put(b"x", metadata={"value": scalar})

    found = store.load(artifact.id).artifacts[0].metadata["value"]
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize("scalar", [np.float64(math.nan), np.float32(math.inf), np.complex128(1j), np.bytes_(b"x")])
def test_scalar_without_a_plain_form_is_refused(store: Store, scalar: object):
    with pytest.raises(WrongType, match="metadata"):
        store.put(b"x", metadata={"value": scalar})


def test_other_values_stay_as_they_are():
    for value in [None, 1, "a", object(), np.arange(3), [np.int64(1)]]:
        assert plain_scalar(value) is value


def test_numpy_is_never_imported():
    program = "import sys, resultstore; resultstore.connect; assert 'numpy' not in sys.modules"

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_complex_number_is_not_cut():
    assert plain_scalar(np.complex64(1 + 2j)) == 1 + 2j
    assert plain_scalar(np.clongdouble(1 + 2j)) == 1 + 2j
