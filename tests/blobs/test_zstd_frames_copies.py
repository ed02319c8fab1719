"""Seekable zstd: only immutable bytes are cut into frames without a copy."""

import pytest

from resultstore.blobs import zstd_frames
from resultstore.blobs.zstd_frames import compress
from tests.blobs.test_zstd_frames import MIB, TEXT, Blob, unpacked


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_what_its_producer_changes_afterwards_was_copied_before(kind: type):
    def reused() -> object:
        block = bytearray(TEXT[:MIB])
        for number in range(6):
            block[:1] = b"%d" % number
            yield kind(block) if kind is memoryview else block

    whole = b"".join(b"%d" % number + TEXT[1:MIB] for number in range(6))
    assert unpacked(Blob(b"".join(compress(reused(), threads=2))), len(whole)) == whole


def test_whole_frames_are_not_copied():
    whole = TEXT[:MIB] * 3

    cut = list(zstd_frames._cut([whole]))

    assert [bytes(one) for one in cut] == [TEXT[:MIB]] * 3
    assert all(one.obj is whole for one in cut)
