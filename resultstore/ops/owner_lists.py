"""Owner lists: rebuilds them from the seals after the index was lost, and erases all data of an owner."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from resultstore.blobs.blobstore import BlobStore
from resultstore.capture.spills import is_argument
from resultstore.index.claims import release_claim
from resultstore.index.index import ScriptRunner
from resultstore.model import layout, seal as documents
from resultstore.model.errors import (
    BadReference,
    Damaged,
    Misconfigured,
    NotThere,
    RecordUnreadable,
    Refused,
    ResultStoreError,
    Unavailable,
)
from resultstore.model.seal import Seal
from resultstore.store import Store
from resultstore.store.seals import read_document
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance
from resultstore.uploads.late_bytes import LateByteTracker, delete_received
from resultstore.uploads.ticket import TicketStore
from resultstore.webhooks.outbox import WebhookOutbox

_log = Log(__name__)

_READ_AT_ONCE: Final = 16
_BATCH: Final = 512
_CLAIM_S: Final = 3_600  # after this time another process may start a rebuild
_EVERY_S: Final = 60.0
_ROUNDS_MAX: Final = 10  # stops if the owner's workers keep storing new results


class RebuildOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How many seals were read, how many of them name an owner, and how many could not be read."""

    seals: int = 0
    listed: int = 0
    unreadable: int = 0


class EraseOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How many Results (with uploads) and spilled arguments of an owner were deleted."""

    results: int = 0
    arguments: int = 0


def rebuild(store: Store) -> RebuildOutcome:
    """Rebuild the lists of all owners by reading all seals. Safe to run concurrently with writers, and to repeat.

    Afterwards the lists are marked as complete, unless the index was lost again during the rebuild.

    Raises Misconfigured where nothing can be listed, IndexUnavailable, BlobStoreUnavailable.
    """
    blobs, index = _required(store), store.index
    token, tolerance = layout.new_nonce().encode(), FailureTolerance(_log, "seal_not_listed")
    index.keys.keep(layout.OWNERS_REBUILT_KEY, token, ttl_s=None)
    keys, done = (one.key for one in blobs.list("seals/")), RebuildOutcome()
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        while batch := list(islice(keys, _BATCH)):
            seals = []
            for key, answer in zip(batch, pool.map(partial(_answer, store, blobs), batch), strict=True):
                with tolerance.each(key=key):
                    seals.append(_seal(answer))
            listed = [one for one in seals if one is not None and _is_listed(one, now=blobs.now())]
            for one in listed:
                with tolerance.each(id=one.id):
                    _enlist(store, one)
            done = RebuildOutcome(
                seals=done.seals + len(seals),
                listed=done.listed + len(listed),
                unreadable=done.unreadable + seals.count(None),
            )
    if tolerance.last is not None:
        raise tolerance.last  # after everything else was listed
    if index.keys.read(layout.OWNERS_REBUILT_KEY) == token:
        store.owner_lister.mark_complete()
    _log.info("owner_lists_rebuilt", seals=done.seals, listed=done.listed, unreadable=done.unreadable)
    return done


def erase(store: Store, owner: str) -> EraseOutcome:
    """Delete all data of an owner: Results, uploads, spilled arguments, their records, and events.

    Incomplete lists are rebuilt first. Safe to repeat after a failure. Waiting and running tasks of the owner cannot
    store anything afterwards, except waiting ones whose record the index has lost. Reads all records of the index.

    Raises Misconfigured where nothing can be listed, IndexUnavailable, BlobStoreUnavailable, and BadReference without
    an owner, or when workers go on storing new things for this one.
    """
    blobs, index = _required(store), store.index
    if not owner:
        raise BadReference("no owner was given: results without an owner cannot be erased this way; name one")
    if not store.owner_lister.is_complete():
        rebuild(store)
    results, arguments = 0, 0
    for _ in range(_ROUNDS_MAX):
        ids = index.listing.everything(owner)
        if not ids:
            index.owners.erase(owner)
            return EraseOutcome(results=results, arguments=arguments)
        tolerance = FailureTolerance(_log, "result_not_erased")
        for one in ids:
            with tolerance.each(id=one):
                if is_argument(one):
                    _delete_content(blobs, one)
                    index.owners.forget(owner, one)
                    arguments += 1
                else:
                    _delete_result(store, blobs, one)
                    results += 1
        if tolerance.last is not None:
            raise tolerance.last  # after everything else was deleted
    raise BadReference(
        f"{owner!r} still gets new results after {_ROUNDS_MAX} rounds: stop their work, then erase again"
    )


@contextmanager
def rebuild_in_background(store: Store) -> Iterator[None]:
    """Check the lists in a background thread until the block ends, and rebuild incomplete ones."""
    ended = threading.Event()

    def rounds() -> None:
        while True:
            try:
                _rebuild_if_lost(store)
            except Exception as error:  # noqa: BLE001 - any error: the next round follows soon
                _log.warning("owner_lists_not_rebuilt", error=repr(error))
            if ended.wait(_EVERY_S):
                return

    if store.blobs is not None:
        threading.Thread(target=rounds, name="resultstore-owner-lists", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _rebuild_if_lost(store: Store) -> None:
    if store.owner_lister.is_complete():
        return
    holder = layout.new_nonce()
    if store.index.keys.claim(layout.OWNERS_CLAIM_KEY, holder, ttl_s=_CLAIM_S):
        try:
            rebuild(store)
        finally:
            release_claim(store.index.keys, layout.OWNERS_CLAIM_KEY, holder)


def _required(store: Store) -> BlobStore:
    if store.blobs is None:
        raise Misconfigured("owners' lists need an object store: set RESULTSTORE_BLOBS_URL")
    return store.blobs


def _answer(store: Store, blobs: BlobStore, key: str) -> Seal | ResultStoreError:
    """Return the seal under this key, or why it could not be read."""
    try:
        return documents.parse(read_document(blobs, key, of=key), store.signatures.macs, of=key)
    except ResultStoreError as error:
        return error


def _seal(answer: Seal | ResultStoreError) -> Seal | None:
    """Return the seal, or None if it is damaged. Raises Unavailable if the store cannot be asked."""
    if isinstance(answer, Seal):
        return answer
    if isinstance(answer, Unavailable):
        raise answer
    _log.warning("seal_not_listed", error=str(answer))
    return None


def _enlist(store: Store, seal: Seal) -> None:
    """List the Result of a seal and count its bytes; a Result that cannot be read is not counted."""
    result, made_at = seal.result(), seal.started_at or seal.sealed_at
    store.index.owners.enlist(seal.owner, seal.id, made_at=made_at, stored_until=result.stored_until)
    try:
        whole = result if seal.artifacts_at is None else store.load(seal.id)  # whose list was moved out
    except (Damaged, NotThere, Refused) as error:
        _log.warning("seal_not_counted", id=seal.id, error=str(error))
        return
    if whole is not None:
        store.byte_counter.count(whole)


def _is_listed(seal: Seal, *, now: float) -> bool:
    """Return True if the seal has an owner and has not expired; a tombstone has no owner."""
    return bool(seal.owner) and (seal.expires_at is None or seal.expires_at > now)


def _delete_content(blobs: BlobStore, result_id: str) -> None:
    for prefix in layout.content_prefixes(result_id):
        blobs.delete([stored.key for stored in blobs.list(prefix)])


def _delete_result(store: Store, blobs: BlobStore, result_id: str) -> None:
    """Delete a Result with its upload and its pending webhook."""
    tickets = TicketStore(store)
    try:
        ticket = tickets.find_any(result_id)
    except (BadReference, RecordUnreadable):  # not authentic, or of a newer version
        tickets.forget(result_id)
        ticket = None
    if ticket is not None:
        # Its URLs may still work, so only the keys of late bytes are kept.
        bare = msgspec.structs.replace(ticket.asked, name="", options={})
        ticket = msgspec.structs.replace(ticket, owner="", asked=bare)
        LateByteTracker(store).track(ticket)
        delete_received(blobs, ticket)
        tickets.give_up(ticket)
    if isinstance(store.index.keys, ScriptRunner):
        WebhookOutbox(store.index.keys, store.signatures.macs).remove(result_id)
    store.delete(result_id)
