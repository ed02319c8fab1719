"""Doctor: probes store, index and clock, and says what is wrong and what to do."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Protocol

import msgspec

from resultstore.blobs.blobstore import AlreadyExists, BlobStore, Created
from resultstore.index.index import Index
from resultstore.model import layout
from resultstore.model.errors import BlobMissing, ResultStoreError
from resultstore.model.mac import Macs
from resultstore.ops.lifecycle_setup import LifecycleBucket, misses_tag
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.capabilities import read_marker

PROBE_ID = "doctor-probe"
PROBE_CLASS = "1d"  # what a doctor that is killed leaves behind, lifecycle collects
RIVALS = 4
SKEW_LIMIT_S = 60.0  # MinIO refuses URLs dated 15 minutes ahead, and readers obey the store's clock for expiry


# Without these a store cannot be used; without the others it is used with care, as the remedy says.
MUST_KEEP = frozenset({"creates_once", "agrees_on_the_time", "ends_urls", "refuses_unsigned_writes"})


class ProbeAnswer(Protocol):
    """What one try of a store's traits answers."""

    @property
    def ok(self) -> bool:
        """Whether the store keeps it."""

    @property
    def detail(self) -> str:
        """What was seen."""

    @property
    def remedy(self) -> str:
        """What to do about it."""


class CapabilityProbes(Protocol):
    """A driver that can try what its store keeps."""

    def tries(self) -> Sequence[Callable[[], ProbeAnswer]]:
        """Each try, to be called in turn."""


class Verdict(StrEnum):
    """How a probe ended."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One probe's answer.

    Args:
        name: what was probed.
        verdict: whether it is well; only `wrong` makes the whole fail.
        text: what was found.
        remedy: what to do about it; "" when nothing.
        ms: how long the probe took.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    ms: float = 0.0


class Defect(msgspec.Struct, frozen=True):
    """What a probe found wrong, and what to do."""

    text: str
    remedy: str
    verdict: Verdict = Verdict.WRONG


Probe = Callable[[], "str | Defect"]
"""Looks at one thing: a short text when it is well. Raises ResultStoreError when it cannot look."""


def examine(probes: Mapping[str, Probe]) -> Iterator[Finding]:
    """Run each probe and say how it went; one that fails never keeps the next from running."""
    for name, probe in probes.items():
        began = time.monotonic()
        try:
            answer = probe()
        except ResultStoreError as error:
            answer = Defect(*_split(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is: a doctor that ends here says nothing of the rest
            answer = Defect(f"the probe failed: {error!r}", "report it, with what `resultstore doctor --json` prints")
        ms = round(1000 * (time.monotonic() - began), 1)
        if isinstance(answer, Defect):
            yield Finding(name=name, verdict=answer.verdict, text=answer.text, remedy=answer.remedy, ms=ms)
        else:
            yield Finding(name=name, verdict=Verdict.OK, text=answer, ms=ms)


def store_probes(store: Store) -> dict[str, Probe]:
    """What can be asked of a Store and its settings."""
    found: dict[str, Probe] = {
        "secret key": lambda: secret_key(store.settings),
        "index": lambda: index_answers(store.index),
    }
    blobs = store.blobs
    if blobs is None:
        return found | {"blobs": no_blobs}
    return found | {
        "blobs": lambda: blobs_keep(blobs),
        "write once": lambda: first_wins(blobs),
        "layout": lambda: layout_marker(blobs, store.signatures.macs),
        "clock": lambda: clock_agrees(blobs),
    }


def bucket_probes(bucket: LifecycleBucket, *, root: str) -> dict[str, Probe]:
    """What can be asked of a bucket's configuration."""
    return {"seal rules": lambda: seal_rules_choose(bucket, root=root)}


def trait_probes(probes: CapabilityProbes, *, accepted: Collection[str] = ()) -> dict[str, Probe]:
    """What the bucket's store really keeps, found out by trying (blobs/probe.py).

    Args:
        probes: the tries.
        accepted: names of tries whose failure is a warning only, because the settings accept it.
    """
    must_keep = MUST_KEEP.difference(accepted)
    return {
        f"store {look.__name__.replace('_', ' ')}": partial(_trait, look, must_keep=look.__name__ in must_keep)
        for look in probes.tries()
    }


def _trait(look: Callable[[], ProbeAnswer], *, must_keep: bool) -> str | Defect:
    found = look()
    if found.ok:
        return found.detail
    return Defect(found.detail, found.remedy, Verdict.WRONG if must_keep else Verdict.WARNING)


def secret_key(settings: Settings) -> str | Defect:
    """Whether references and local URLs can be signed so that other processes believe them."""
    if settings.security.secret_key:
        return "set"
    remedy = "set RESULTSTORE_SECRET_KEY to 32 random bytes in hex, the same for all processes"
    return Defect("RESULTSTORE_SECRET_KEY is not set", remedy, Verdict.WARNING)


def index_answers(index: Index) -> str:
    """Whether the index answers, and how fast."""
    index.peek(PROBE_ID)
    began = time.monotonic()
    index.peek(PROBE_ID)
    return f"answers in {1000 * (time.monotonic() - began):.1f} ms"


def no_blobs() -> Defect:
    """There is no object store to ask."""
    remedy = "set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"
    return Defect("no object store: large outputs cannot be kept", remedy, Verdict.WARNING)


def blobs_keep(blobs: BlobStore) -> str | Defect:
    """Whether the store gives back what was put into it, whole and in part, and forgets what was deleted."""
    key, body = _probe_key(), b"resultstore doctor " * 64
    try:
        stored = blobs.put(key, [body], media_type="application/octet-stream", size_hint_bytes=len(body))
        if b"".join(blobs.get(key)) != body or stored.size_bytes != len(body):
            return Defect("the store gave back other bytes than were put", "do not use this store")
        if b"".join(blobs.get(key, start=5, size_bytes=7)) != body[5:12]:
            return Defect(
                "the store ignores ranges", "look for a proxy that drops the Range header, or use another store"
            )
    finally:
        blobs.delete([key])
    try:
        blobs.stat(key)
    except BlobMissing:
        return "put, get, ranged get and delete work"
    return Defect("a deleted blob is still there", "allow s3:DeleteObject to these credentials")


def first_wins(blobs: BlobStore) -> str | Defect:
    """Whether a conditional write lets exactly one of several writers win: seals rest on it."""
    key = _probe_key()
    try:
        with ThreadPoolExecutor(RIVALS) as pool:
            bodies = [f"rival {n}".encode() for n in range(RIVALS)]
            outcomes = list(pool.map(lambda body: blobs.create(key, body, tags={"rs-class": PROBE_CLASS}), bodies))
    finally:
        blobs.delete([key])
    won = sum(isinstance(one, Created) for one in outcomes)
    lost = sum(isinstance(one, AlreadyExists) for one in outcomes)
    if won == 1 and lost == RIVALS - 1:
        return f"one of {RIVALS} writers won, the others were told"
    return Defect(f"of {RIVALS} writers {won} won and {lost} were told", "use a store that honours If-None-Match: *")


def layout_marker(blobs: BlobStore, macs: Macs) -> str | Defect:
    """Whether this place was set up, in a format that this version reads, by somebody who has our key."""
    try:
        marker = read_marker(blobs, macs)
    except BlobMissing:
        return Defect(f"no {layout.LAYOUT_KEY}: this place was not set up", "run `resultstore setup`", Verdict.WARNING)
    if marker.format != layout.OBJECT_FORMAT:
        text = f"the store holds format {marker.format}, this version reads {layout.OBJECT_FORMAT}"
        return Defect(text, "use the version of resultstore that set it up, or another prefix")
    if marker.traits is None:
        text = f"format {marker.format}; what the store keeps is not noted, or by nobody who has our key"
        return Defect(text, "run `resultstore setup` again", Verdict.WARNING)
    return f"format {marker.format}"


def seal_rules_choose(bucket: LifecycleBucket, *, root: str) -> str | Defect:
    """Whether the lifecycle rules for seals choose by tag: without their tags they delete every seal after 4 days."""
    if misses_tag(bucket, root=root):
        text = "a lifecycle rule deletes seals whatever their tag: all results are lost after its days"
        return Defect(text, "run `resultstore setup`: it removes such rules")
    return "no rule deletes seals before their time"


def clock_agrees(blobs: BlobStore) -> str | Defect:
    """Whether this machine's clock and the store's agree well enough for URLs and expiry."""
    skew_s = blobs.now() - time.time()
    if abs(skew_s) > SKEW_LIMIT_S:
        return Defect(f"the store's clock is {skew_s:+.0f} s from ours", "run NTP on both machines")
    return f"{skew_s:+.1f} s from the store's"


def _probe_key() -> str:
    return layout.blob_key(PROBE_ID, retention=PROBE_CLASS, nonce=layout.new_nonce(), n=0)


def _split(message: str) -> tuple[str, str]:
    """Our messages say what is wrong, a colon or semicolon, and the way out."""
    for sign in ("; ", ": "):
        text, found, remedy = message.rpartition(sign)
        if found:
            return text, remedy
    return message, ""
