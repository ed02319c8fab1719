"""Promise: one sentence of a contract, with the function that checks it on a driver."""

import hashlib
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from resultstore.blobs.blobstore import BlobReader, BlobStore, Chunk, Stored

MIB: Final = 1024 * 1024
SOON_S: Final = 20.0  # far longer than anything here takes: a bound for what never comes
KEY: Final = "blobs/30d/ab/id-1/0123.0"

D = TypeVar("D")
E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


class ContractBroken(AssertionError):
    """A driver does not keep its contract. The message names each broken sentence and what was found."""


class Promise(Generic[D]):
    """One sentence of a contract.

    Args:
        check: raises AssertionError when a driver breaks the promise. Its docstring is the sentence.
    """

    def __init__(self, check: Callable[[D], None]) -> None:
        self.name = check.__name__
        self.sentence = " ".join((check.__doc__ or "").split())
        self._check = check

    def __repr__(self) -> str:
        """Return the name, which pytest shows as the id of a case."""
        return self.name

    def check(self, driver: D) -> None:
        """Check the promise on a driver that is empty. Raises ContractBroken."""
        if not __debug__:
            raise RuntimeError("the contract suites use assert: run Python without -O")
        try:
            self._check(driver)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            found = f"{type(error).__name__}: {error}".strip().removesuffix(":")
            raise ContractBroken(f"{self.sentence}\n    broken ({self.name}): {found}\n    at: {at.line}") from error


def check_all(promises: Iterable[Promise[D]], factory: Callable[[], D]) -> None:
    """Check each promise on a driver of its own. Raises one ContractBroken that lists every broken sentence."""
    broken = []
    for promise in promises:
        try:
            promise.check(factory())
        except ContractBroken as error:
            broken.append(error)
    if broken:
        lines = "\n".join(f"* {error}" for error in broken)
        raise ContractBroken(f"{len(broken)} sentences of the contract are broken:\n{lines}") from broken[0]


def raised(expected: type[E], call: Callable[[], object], *, naming: str = "") -> E:
    """Return the exception of type `expected` that `call` raises, with `naming` in its message."""
    try:
        answer = call()
    except expected as error:
        found = error
    else:
        raise AssertionError(f"no {expected.__name__} was raised, the answer was {answer!r}")
    assert naming in str(found), f"the message {str(found)!r} does not name {naming!r}"
    return found


def put(blobs: BlobStore, key: str, *chunks: Chunk) -> Stored:
    """Store `chunks` under `key`."""
    return blobs.put(key, chunks, media_type="application/octet-stream")


def read(blobs: BlobReader, key: str = KEY, *, start: int = 0, size_bytes: int | None = None) -> bytes:
    """Return the blob, or a range of it."""
    return b"".join(blobs.get(key, start=start, size_bytes=size_bytes))


def keys(blobs: BlobReader, prefix: str = "") -> list[str]:
    """Return the sorted keys that begin with `prefix`."""
    return sorted(stored.key for stored in blobs.list(prefix))


def pattern(size_bytes: int) -> bytes:
    """Return bytes that differ everywhere, so that a swapped or lost part is noticed."""
    seed = b"".join(hashlib.sha256(n.to_bytes(4)).digest() for n in range(4096))
    return (seed * (size_bytes // len(seed) + 1))[:size_bytes]


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Call `call(n)` in `count` threads that start at the same moment, and return the answers."""
    gate = threading.Barrier(count)

    def run(n: int) -> T:
        gate.wait(timeout=30)
        return call(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def new_id() -> str:
    """Return an id that no other test uses."""
    return uuid.uuid4().hex


def wait_until(question: Callable[[], object], *, limit_s: float = SOON_S) -> None:
    """Wait until `question()` is true. Raises AssertionError after `limit_s`."""
    end = time.monotonic() + limit_s
    while not question():
        assert time.monotonic() < end, f"not true within {limit_s} s"
        time.sleep(0.02)
