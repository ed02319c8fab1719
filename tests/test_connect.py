"""Connect: which driver serves which URL, also one that another package brings."""

import pytest

from resultstore import Settings, connect
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.blobs.memory import MemoryBlobs
from resultstore.connect import BLOB_DRIVERS, INDEX_DRIVERS
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model.errors import Misconfigured

OUTSIDE = """
from resultstore.blobs.memory import MemoryBlobs
from resultstore.index.memory.driver import MemoryIndex

class OutsideBlobs(MemoryBlobs):
    def __init__(self, url):
        super().__init__()
        self.url = url

class OutsideIndex(MemoryIndex):
    pass

def connect_blobs(settings):
    return OutsideBlobs(settings.blobs.url), None

def connect_index(settings, *, options):
    return OutsideIndex()
"""
ENTRY_POINTS = """
[resultstore.blobs]
outside = outside_driver:connect_blobs
[resultstore.index]
outside = outside_driver:connect_index
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """An installed package that brings the scheme `outside` for blobs and for the index."""
    (tmp_path / "outside_driver.py").write_text(OUTSIDE)
    folder = tmp_path / "outside_driver-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-driver\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def settings(**urls):
    return Settings(**{"index_url": "memory://", **urls})


def test_the_scheme_chooses_the_driver(tmp_path):
    in_memory = connect(settings(blobs_url="memory://"))
    in_folder = connect(settings(blobs_url=f"file://{tmp_path}/blobs", secret_key="s" * 32))
    without = connect(settings(blobs_url=""))

    assert (type(in_memory.blobs), in_memory.signer, type(in_memory.index)) == (MemoryBlobs, None, MemoryIndex)
    assert (type(in_folder.blobs), type(in_folder.signer)) == (LocalBlobs, LocalSigner)
    assert (without.blobs, without.signer) == (None, None)


@pytest.mark.usefixtures("outside")
def test_an_installed_package_brings_a_scheme():
    store = connect(settings(blobs_url="outside://somewhere", index_url="outside://"))

    assert (type(store.blobs).__name__, store.blobs.url) == ("OutsideBlobs", "outside://somewhere")
    assert type(store.index).__name__ == "OutsideIndex"


@pytest.mark.usefixtures("outside")
def test_an_unknown_scheme_lists_the_known_ones():
    with pytest.raises(Misconfigured, match="RESULTSTORE_BLOBS_URL has the scheme 'ftp'") as blobs:
        connect(settings(blobs_url="ftp://host/"))
    with pytest.raises(Misconfigured, match="RESULTSTORE_INDEX_URL has the scheme 'ftp'") as index:
        connect(settings(index_url="ftp://host/"))

    assert all(f"{scheme}://" in str(blobs.value) for scheme in (*BLOB_DRIVERS, "outside"))
    assert all(f"{scheme}://" in str(index.value) for scheme in (*INDEX_DRIVERS, "outside"))
