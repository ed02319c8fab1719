"""Dispatching: work that is ordered from a task queue, and what is kept of an order until its Result is gone."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

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
        id: of the task and of its Result; an upload's id where there is a source.
        task: the task's registered name; the caller has looked it up among the offers.
        owner: who will own the Result; never what a client says of itself.
        arguments: passed by name: JSON values, as the offer's model has checked them.
        source: the adopted upload; the task's first positional argument.
        retry_of: the id of the Result that this one repeats; "" for new work.
    """

    id: str
    task: str
    owner: str
    arguments: Mapping[str, object] = msgspec.field(default_factory=dict)
    source: Artifact | None = None
    retry_of: str = ""


class Dispatcher(Protocol):
    """Hands orders to a task queue. Every method raises Unavailable when the queue cannot be reached in time."""

    def send(self, order: Order) -> None:
        """Announce the work, then publish it and wait until the queue has confirmed it.

        Raises ResultDeleted for an id that was deleted: it cannot be used again.

        The PENDING record with its owner stands before any worker can see the message. After Unavailable the record
        is again what it was; the message may still have got through, and then the task runs all the same: sending
        the same order again is harmless.
        """

    def cancel(self, result_id: str) -> None:
        """Ask the workers to leave this work, or to end it; what has ended already stays as it is."""


@runtime_checkable
class ReadinessProbe(Protocol):
    """The further power of a Dispatcher that can say whether its queue answers."""

    def probe(self) -> None:
        """Ask the queue for nothing. Raises Unavailable when it does not answer."""


def announce(store: Store, order: Order) -> None:
    """Keep `order` for a retry, and write the PENDING record with its owner, which begins the owner's list and stream.

    It replaces nothing that has ended. Raises ResultDeleted for an id that was deleted.
    """
    key = layout.order_key(order.id)
    store.index.keys.keep(key, _sealed_order(store, order), ttl_s=store.settings.results.expires_s)
    own = order.source is not None and order.source.id == order.id  # a retry has another's upload
    artifacts = (order.source,) if order.source is not None and own else ()
    pending = Result(id=order.id, task=order.task, owner=order.owner, artifacts=artifacts, created_at=time.time())
    written = store.save(pending.moved(State.PENDING), over=Overwrite.IF_UNFINISHED)
    if not written and store.was_deleted(order.id):
        store.index.keys.drop(key)
        raise ResultDeleted.of(order.id)


def withdraw(store: Store, order: Order, *, before: Result | None) -> None:
    """Undo `announce`: the record is `before` again, or there is none."""
    store.index.keys.drop(layout.order_key(order.id))
    if before is None:
        store.index.delete(order.id)
    else:
        store.save(before)


def ordered(store: Store, result_id: str) -> Order | None:
    """The order that led to this Result; None when none was kept, or not any more.

    Raises BadReference when it was not written by somebody who knows the secret key.
    """
    kept = store.index.keys.read(layout.order_key(result_id))
    return None if kept is None else _read_order(store, result_id, kept)


def ordered_many(store: Store, result_ids: Sequence[str]) -> list[Order | None]:
    """Return what `ordered` gives for each id, by one look-up; None also for what it does not believe."""
    if not result_ids:
        return []
    found: list[Order | None] = []
    kept = store.index.keys.read_many([layout.order_key(one) for one in result_ids])
    for result_id, one in zip(result_ids, kept, strict=True):
        try:
            found.append(None if one is None else _read_order(store, result_id, one))
        except (BadReference, msgspec.MsgspecError):
            found.append(None)
    return found


def _read_order(store: Store, result_id: str, kept: bytes) -> Order:
    mac, document = kept[:_MAC_BYTES].decode(errors="replace"), kept[_MAC_BYTES:]
    macs = store.trust.macs
    if macs and not macs.agrees(mac, _PURPOSE, result_id, hashlib.sha256(document).hexdigest()):
        raise BadReference(f"the order of {result_id} was not written by us: send the work again")
    return msgspec.msgpack.decode(document, type=Order)


def _sealed_order(store: Store, order: Order) -> bytes:
    document = msgspec.msgpack.encode(order)
    macs = store.trust.macs
    digest = hashlib.sha256(document).hexdigest()
    return (macs.sign(_PURPOSE, order.id, digest) if macs else "-" * _MAC_BYTES).encode() + document
