"""Steps of the tests of LocalBlobs: a key, a write, and the list of all files."""

MIB = 1 << 20
KEY = "blobs/30d/ab/id-1/0123.0"


def put(blobs, key, *chunks):
    return blobs.put(key, chunks, media_type="application/octet-stream")


def files(root):
    """Every file below `root`, drafts included."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
