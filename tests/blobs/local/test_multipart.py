"""LocalParts: unfinished uploads are collected after two days, and take no part afterwards."""

import os
import time

import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.model import layout
from resultstore.model.errors import BadReference, BlobMissing


@pytest.fixture
def key():
    return layout.upload_key("job", retention="1d", nonce=layout.new_nonce())


def test_abandoned_upload_is_collected_and_takes_no_part(tmp_path, key):
    blobs = LocalBlobs(tmp_path)
    old = blobs.begin_parts(key, media_type="video/mp4")
    long_ago = time.time() - 3 * 86_400
    os.utime(tmp_path / ".parts" / old, (long_ago, long_ago))

    blobs.begin_parts(key, media_type="video/mp4")

    assert not (tmp_path / ".parts" / old).exists()
    with pytest.raises(BlobMissing):
        blobs.put_part(key, upload_id=old, number=1, chunks=[b"late"])
    assert not (tmp_path / ".parts" / old).exists()
    with pytest.raises(BadReference):
        blobs.put_part(key, upload_id="../../etc", number=1, chunks=[b"x"])
