"""Offers accept media types, and ranges of them."""

import pytest

from resultstore import Offer, Settings, Store, WrongType
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.index.memory.driver import MemoryIndex
from resultstore.uploads.issuing import TicketIssuer, UploadSpec


def validate(folder, takes: tuple[str, ...], media_type: str) -> UploadSpec:
    signer = LocalSigner(b"a secret of the tests, 32 bytes.", "http://127.0.0.1:1")
    settings = Settings(index_url="memory://")
    store = Store(index=MemoryIndex(), blobs=LocalBlobs(folder), signer=signer, settings=settings)
    issuer = TicketIssuer(store, offers={"copy": Offer(task="copy", title="Copy", takes=takes)})
    return issuer.validate(UploadSpec(name="a", size_bytes=1, media_type=media_type, task="copy", options={}))


@pytest.mark.parametrize(
    ("takes", "media_type"),
    [
        (("image/*",), "image/png"),
        (("image/*",), "IMAGE/JPG; q=1"),
        (("text/csv", "image/*"), "text/csv"),
        (("*/*",), "application/x-anything"),
    ],
)
def test_types_within_a_range_are_accepted(tmp_path, takes, media_type):
    assert validate(tmp_path, takes, media_type).media_type == media_type.partition(";")[0].lower().replace(
        "jpg", "jpeg"
    )


@pytest.mark.parametrize(
    ("takes", "media_type"),
    [
        (("image/*",), "imagery/png"),
        (("image/*",), "video/mp4"),
        (("image/png",), "image/*"),
        (("image/p*",), "image/png"),
        (("image/*",), "image"),
    ],
)
def test_types_outside_are_refused_with_the_range(tmp_path, takes, media_type):
    with pytest.raises(WrongType, match="copy accepts image/"):
        validate(tmp_path, takes, media_type)


@pytest.mark.parametrize("odd", ["text/\r\nx-evil: 1", "text/\0", "text/é", "text/", "text/a b", ""])
@pytest.mark.parametrize("takes", ["*/*", "text/*"])
def test_range_accepts_no_broken_type(tmp_path, takes, odd):
    with pytest.raises(WrongType, match="copy accepts"):
        validate(tmp_path, (takes,), odd)
