"""Steps: what the contract of BlobStore is tested with, for every driver alike."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

MIB = 1024 * 1024
KEY = "blobs/30d/ab/id-1/0123.0"


def put(blobs, key, *chunks):
    return blobs.put(key, chunks, media_type="application/octet-stream")


def read(blobs, key=KEY, **span):
    return b"".join(blobs.get(key, **span))


def keys(blobs, prefix=""):
    return sorted(stored.key for stored in blobs.list(prefix))


def pattern(size_bytes):
    """Bytes that differ everywhere, so that a swapped or lost part shows."""
    seed = b"".join(hashlib.sha256(n.to_bytes(4)).digest() for n in range(4096))
    return (seed * (size_bytes // len(seed) + 1))[:size_bytes]


def at_once(count, call):
    """Call `call(n)` in `count` threads that start at the same moment."""
    gate = threading.Barrier(count)

    def run(n):
        gate.wait(timeout=30)
        return call(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
