"""Doctor: checks the store, the index and the clock, and reports problems with remedies."""

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
from resultstore.telemetry.redaction import cut_secrets

PROBE_ID = "doctor-probe"
PROBE_CLASS = "1d"  # a killed doctor leaves probe objects to the lifecycle rules
RIVALS = 4
SKEW_LIMIT_S = 60.0  # MinIO refuses URLs dated 15 minutes ahead, and readers obey the store's clock for expiry


# A store must pass these checks; a failure of another one is a warning with a remedy.
MUST_KEEP = frozenset({"creates_once", "agrees_on_the_time", "ends_urls", "refuses_unsigned_writes"})


class ProbeAnswer(Protocol):
    """The outcome of one probe of a driver."""

    @property
    def ok(self) -> bool:
        """True if the store passed."""

    @property
    def detail(self) -> str:
        """What was found."""

    @property
    def remedy(self) -> str:
        """What to do about it."""


class CapabilityProbes(Protocol):
    """A driver that can probe the capabilities of its store."""

    def tries(self) -> Sequence[Callable[[], ProbeAnswer]]:
        """Return the probes, to be called in turn."""


class Verdict(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one check.

    Args:
        name: what was checked.
        verdict: the outcome; only `wrong` makes the command fail.
        text: what was found.
        remedy: what to do; "" if nothing.
        ms: how long the check took, in milliseconds.
        skipped: names of the checks that were not made, because this one could not run.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    ms: float = 0.0
    skipped: tuple[str, ...] = ()


class Defect(msgspec.Struct, frozen=True):
    """A problem that a check found, and its remedy."""

    text: str
    remedy: str
    verdict: Verdict = Verdict.WRONG


Probe = Callable[[], "str | Defect"]
"""A check: returns a short text if all is well. Raises ResultStoreError if it cannot run."""


def examine(probes: Mapping[str, Probe], *, requires: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Run each check and yield its report when it is done; an error in one check does not stop the next.

    Args:
        probes: the checks by name, in order.
        requires: for some checks, the name of an earlier one. They are skipped if that one could not run: they would
            report the same cause again.
    """
    required, skipped = requires or {}, set[str]()
    for name, probe in probes.items():
        if name in skipped:
            continue
        began = time.monotonic()
        could_run, answer = _run(probe)
        ms = round(1000 * (time.monotonic() - began), 1)
        if could_run:
            yield _finding(name, answer, ms=ms)
        else:
            waiting = tuple(one for one in probes if required.get(one) == name)
            skipped.update(waiting)
            yield msgspec.structs.replace(_finding(name, answer, ms=ms), skipped=waiting)


def _run(probe: Probe) -> tuple[bool, str | Defect]:
    """Return whether the check could run, and its answer."""
    try:
        return True, probe()
    except ResultStoreError as error:
        return False, Defect(*_split(str(error)))
    except Exception as error:  # noqa: BLE001 - any error must not hide the other checks
        remedy = "report it with the output of `resultstore doctor --json`"
        return False, Defect(f"the check failed: {error!r}", remedy)


def _finding(name: str, answer: str | Defect, *, ms: float) -> Finding:
    if isinstance(answer, str):
        return Finding(name=name, verdict=Verdict.OK, text=answer, ms=ms)
    return Finding(name=name, verdict=answer.verdict, text=cut_secrets(answer.text), remedy=answer.remedy, ms=ms)


def store_probes(store: Store) -> dict[str, Probe]:
    """Return the checks of a Store and its settings."""
    found: dict[str, Probe] = {
        "secret key": lambda: secret_key(store.settings),
        "index": lambda: index_answers(store.index),
    }
    blobs = store.blobs
    if blobs is None:
        return found | {"blobs": no_blobs}
    return found | {
        "blobs": lambda: blobs_keep(blobs),
        "write once": lambda: check_write_once(blobs),
        "layout": lambda: layout_marker(blobs, store.signatures.macs),
        "clock": lambda: clock_agrees(blobs),
    }


def bucket_probes(bucket: LifecycleBucket, *, root: str) -> dict[str, Probe]:
    """Return the checks of a bucket's configuration."""
    return {"seal rules": lambda: seal_rules_choose(bucket, root=root)}


def capability_probes(probes: CapabilityProbes, *, accepted: Collection[str] = ()) -> dict[str, Probe]:
    """Return the checks of the store's capabilities (blobs/s3/probe.py).

    Args:
        probes: the driver's probes.
        accepted: names of probes whose failure is only a warning, because the settings accept it.
    """
    must_keep = MUST_KEEP.difference(accepted)
    return {
        f"store {probe.__name__.replace('_', ' ')}": partial(_capability, probe, must_keep=probe.__name__ in must_keep)
        for probe in probes.tries()
    }


def _capability(probe: Callable[[], ProbeAnswer], *, must_keep: bool) -> str | Defect:
    found = probe()
    if found.ok:
        return found.detail
    return Defect(found.detail, found.remedy, Verdict.WRONG if must_keep else Verdict.WARNING)


def secret_key(settings: Settings) -> str | Defect:
    """Check that there is a key to sign references and local URLs."""
    if settings.security.secret_key:
        return "set"
    remedy = "set RESULTSTORE_SECRET_KEY to 32 random bytes in hex, the same for all processes"
    return Defect("RESULTSTORE_SECRET_KEY is not set", remedy, Verdict.WARNING)


def index_answers(index: Index) -> str:
    """Check that the index answers; return how fast."""
    index.peek(PROBE_ID)
    began = time.monotonic()
    index.peek(PROBE_ID)
    return f"answers in {1000 * (time.monotonic() - began):.1f} ms"


def no_blobs() -> Defect:
    """Report that there is no object store."""
    remedy = "set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"
    return Defect("no object store: large outputs cannot be stored", remedy, Verdict.WARNING)


def blobs_keep(blobs: BlobStore) -> str | Defect:
    """Check that the store returns stored bytes, whole and in part, and deletes them."""
    key, body = _probe_key(), b"resultstore doctor " * 64
    stored = blobs.put(key, [body], media_type="application/octet-stream", size_hint_bytes=len(body))
    try:
        if b"".join(blobs.get(key)) != body or stored.size_bytes != len(body):
            return Defect("the store returned other bytes than were stored", "do not use this store")
        if b"".join(blobs.get(key, start=5, size_bytes=7)) != body[5:12]:
            return Defect(
                "the store ignores range requests",
                "check for a proxy that drops the Range header, or use another store",
            )
    finally:
        blobs.delete([key])
    try:
        blobs.stat(key)
    except BlobMissing:
        return "put, get, ranged get and delete work"
    return Defect("a deleted blob still exists", "allow s3:DeleteObject for these credentials")


def check_write_once(blobs: BlobStore) -> str | Defect:
    """Check that exactly one of several conditional writes succeeds: seals depend on it."""
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
        return f"one of {RIVALS} writers succeeded, the others were refused"
    return Defect(
        f"of {RIVALS} writers {won} succeeded and {lost} were refused", "use a store that honours If-None-Match: *"
    )


def layout_marker(blobs: BlobStore, macs: Macs) -> str | Defect:
    """Check that the store was set up, in a format that this version reads, with our secret key."""
    try:
        marker = read_marker(blobs, macs)
    except BlobMissing:
        return Defect(f"no {layout.LAYOUT_KEY}: the store was not set up", "run `resultstore setup`", Verdict.WARNING)
    if marker.format != layout.OBJECT_FORMAT:
        text = f"the store holds format {marker.format}, this version reads {layout.OBJECT_FORMAT}"
        return Defect(text, "use the version of resultstore that set it up, or another prefix")
    if marker.traits is None:
        text = f"format {marker.format}; the store's capabilities are not recorded, or not signed with our key"
        return Defect(text, "run `resultstore setup` again", Verdict.WARNING)
    return f"format {marker.format}"


def seal_rules_choose(bucket: LifecycleBucket, *, root: str) -> str | Defect:
    """Check that lifecycle rules for seals filter by tag: without tags they delete every seal after 4 days."""
    if misses_tag(bucket, root=root):
        text = "a lifecycle rule deletes seals regardless of their tag: all results are lost after its days"
        return Defect(text, "run `resultstore setup`: it removes such rules")
    return "no rule deletes seals before their time"


def clock_agrees(blobs: BlobStore) -> str | Defect:
    """Check that the local clock and the store's differ little enough for URLs and expiry."""
    skew_s = blobs.now() - time.time()
    if abs(skew_s) > SKEW_LIMIT_S:
        return Defect(f"the store's clock differs by {skew_s:+.0f} s from this machine's", "run NTP on both machines")
    return f"differs by {skew_s:+.1f} s from the store's"


def _probe_key() -> str:
    return layout.blob_key(PROBE_ID, retention=PROBE_CLASS, nonce=layout.new_nonce(), n=0)


def _split(message: str) -> tuple[str, str]:
    """Split one of our error messages into the problem and the remedy, after the last semicolon or colon."""
    for sign in ("; ", ": "):
        text, found, remedy = message.rpartition(sign)
        if found:
            return text, remedy
    return message, ""
