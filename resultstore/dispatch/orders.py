"""Orders: pieces of work for a task queue, kept so that they can be repeated as long as their Result exists."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from resultstore.dispatch.pending import save_pending
from resultstore.index.index import Overwrite
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, ResultDeleted
from resultstore.model.result import Result, State
from resultstore.store import Store

_PURPOSE = "order"
_MAC_BYTES = 32  # hex digits


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work for one owner.

    Args:
        id: id of the task and of its Result; with a source it is the id of the upload.
        task: registered name of the task. The caller has found it among the offers.
        owner: owner of the Result, as authenticated. It never comes from the client's own message.
        arguments: JSON values that are passed by name, as the offer's model has checked them.
        source: the adopted upload, which becomes the task's first positional argument.
        retry_of: id of the Result that this order repeats; "" for new work.
    """

    id: str
    task: str
    owner: str
    arguments: Mapping[str, object] = msgspec.field(default_factory=dict)
    source: Artifact | None = None
    retry_of: str = ""


class Dispatcher(Protocol):
    """Publishes orders to a task queue. Every method raises Unavailable if the queue does not answer in time."""

    def send(self, order: Order) -> None:
        """Announce the order, publish it, and wait until the queue has confirmed it.

        The PENDING record with its owner is written before a worker can see the message. After Unavailable the
        record is again what it was before. The message may have arrived all the same, and then the task runs.
        Sending the same order again is harmless.

        Raises ResultDeleted for an id that was deleted: it cannot be used again.
        """

    def cancel(self, result_id: str) -> None:
        """Ask the workers to skip or to end this work. Work that has ended is not changed."""


@runtime_checkable
class ReadinessProbe(Protocol):
    """Optional interface of a Dispatcher that can check its queue; the gateway's `/readyz` uses it."""

    def probe(self) -> None:
        """Ping the queue. Raises Unavailable if it does not answer."""


def announce(store: Store, order: Order) -> None:
    """Keep `order` for a retry, and write its PENDING record, which enters the owner's list and event stream.

    A record that has ended is not replaced. Raises ResultDeleted for an id that was deleted.
    """
    key = layout.order_key(order.id)
    store.index.keys.keep(key, _encode_order(store, order), ttl_s=store.settings.results.expires_s)
    own = order.source is not None and order.source.id == order.id  # the source of a retry belongs to the first Result
    artifacts = (order.source,) if order.source is not None and own else ()
    pending = Result(id=order.id, task=order.task, owner=order.owner, artifacts=artifacts, created_at=time.time())
    try:
        save_pending(store, pending.moved(State.PENDING), over=Overwrite.IF_UNFINISHED)
    except ResultDeleted:
        store.index.keys.drop(key)
        raise


def withdraw(store: Store, order: Order, *, before: Result | None) -> None:
    """Undo `announce`: restore the record `before`, or delete the record if there was none."""
    store.index.keys.drop(layout.order_key(order.id))
    if before is None:
        store.index.delete(order.id)
    else:
        store.save(before)


def read_order(store: Store, result_id: str) -> Order | None:
    """Return the order that led to this Result, or None if none was kept or it has expired.

    Raises BadReference if its MAC does not match: another program wrote it.
    """
    kept = store.index.keys.read(layout.order_key(result_id))
    return None if kept is None else _decode_order(store, result_id, kept)


def read_orders(store: Store, result_ids: Sequence[str]) -> list[Order | None]:
    """Return the order of each id, with one look-up; None also for an order whose MAC does not match."""
    if not result_ids:
        return []
    found: list[Order | None] = []
    kept = store.index.keys.read_many([layout.order_key(one) for one in result_ids])
    for result_id, one in zip(result_ids, kept, strict=True):
        try:
            found.append(None if one is None else _decode_order(store, result_id, one))
        except (BadReference, msgspec.MsgspecError):
            found.append(None)
    return found


def _decode_order(store: Store, result_id: str, kept: bytes) -> Order:
    mac, document = kept[:_MAC_BYTES].decode(errors="replace"), kept[_MAC_BYTES:]
    macs = store.signatures.macs
    if macs and not macs.agrees(mac, _PURPOSE, result_id, hashlib.sha256(document).hexdigest()):
        raise BadReference(f"the MAC of the order of {result_id} does not match: send the work again")
    return msgspec.msgpack.decode(document, type=Order)


def _encode_order(store: Store, order: Order) -> bytes:
    document = msgspec.msgpack.encode(order)
    macs = store.signatures.macs
    digest = hashlib.sha256(document).hexdigest()
    return (macs.sign(_PURPOSE, order.id, digest) if macs else "-" * _MAC_BYTES).encode() + document
