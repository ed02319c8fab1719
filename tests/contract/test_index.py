"""The contract of Index, checked on every driver by the suite that is shipped."""

import pytest

from resultstore.testing import EVENT_PROMISES, LIST_PROMISES, RECORD_PROMISES


@pytest.mark.parametrize("promise", [*RECORD_PROMISES, *LIST_PROMISES, *EVENT_PROMISES], ids=repr)
def test_driver_keeps_the_promise(index, promise):
    promise.check(index)
