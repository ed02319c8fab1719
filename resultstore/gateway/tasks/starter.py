"""Starting: new work for a caller: counted, ordered once, and told of."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from resultstore.dispatch.offers import Offers
from resultstore.dispatch.orders import Dispatcher, Order
from resultstore.gateway.idempotency import Idempotency
from resultstore.gateway.identity.caller import Caller, short, visible
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.gateway.tasks.retryable import RetryFinder
from resultstore.model.errors import WrongType
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.ticket import OPEN_STATES
from resultstore.webhooks.hooks import Webhooks


class TaskStarter:
    """Starts tasks that are offered, and starts them again.

    Args:
        store: whose Results.
        dispatcher: sends the work; None where there are no workers.
        offers: what may be started.
        quotas: what an owner may have.
        webhooks: keeps where word of the end is to be sent.
        repeats: finds out what can be made again.
    """

    def __init__(
        self,
        store: Store,
        *,
        dispatcher: Dispatcher | None,
        offers: Offers,
        quotas: Quotas,
        webhooks: Webhooks,
        repeats: RetryFinder,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._offers = offers
        self._quotas = quotas
        self._webhooks = webhooks
        self._idempotency = Idempotency(store.index)
        self._repeats = repeats

    def start(
        self, caller: Caller, task: str, arguments: Mapping[str, object], *, key: str, webhook_url: str = ""
    ) -> Result:
        """A new Result of `task`; `webhook_url` hears of its end, "" for none.

        Raises Problem 404 for a task that is not offered, 422 for wrong arguments, and AddressRefused.
        """
        offer = self._offers.get(task)
        if offer is None:
            detail = f"no task {short(task)} is offered, or no worker has registered it; see GET /v1/tasks"
            raise Problem(HTTPStatus.NOT_FOUND, "task-missing", detail)
        if offer.takes:
            detail = f"{task} takes a file: begin with POST /v1/uploads"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        try:
            checked = offer.checked(arguments)
        except WrongType as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", str(error)) from error
        if webhook_url:
            self._webhooks.check(webhook_url)
        order = Order(id=_new_id(), task=task, owner=caller.owner, arguments=checked)
        return self._once(caller, order, key=key, webhook_url=webhook_url)

    def again(self, caller: Caller, result_id: str, *, key: str) -> Result:
        """A new Result of the same task, source and arguments. Raises Problem 409 when that is not possible."""
        found = visible(self._store, caller, result_id)
        order = self._repeats.order(found)
        if order is None:
            detail = f"the order of result {short(result_id)} was not kept: start it anew"
            raise Problem(HTTPStatus.CONFLICT, "not-repeatable", detail)
        if order.source is not None:
            self._store.url(order.source)  # raises ArtifactExpired: better now than in the worker
        repeated = msgspec.structs.replace(order, id=_new_id(), owner=caller.owner, retry_of=found.id)
        return self._once(caller, repeated, key=key)

    def cancel(self, caller: Caller, result_id: str) -> Result:
        """Ask the workers to leave it; what has ended already stays as it is."""
        found = visible(self._store, caller, result_id)
        if found.terminal:
            return found
        if found.state in OPEN_STATES:
            detail = f"the upload {short(result_id)} is still open: DELETE /v1/uploads/{short(result_id)}"
            raise Problem(HTTPStatus.CONFLICT, "not-finished", detail)
        self._needed().cancel(found.id)
        return self._store.load(found.id) or found

    def _once(self, caller: Caller, order: Order, *, key: str, webhook_url: str = "") -> Result:
        dispatcher = self._needed()
        said = [order.task, order.arguments, order.retry_of, webhook_url]
        begun = self._idempotency.begin(caller.owner, key, said=said, id=order.id)
        if begun != order.id:
            return visible(self._store, caller, begun)
        try:
            self._sent(dispatcher, order, webhook_url=webhook_url)
        except Exception:
            self._idempotency.failed(caller.owner, key)
            raise
        self._idempotency.done(caller.owner, key, said=said, id=order.id)
        return visible(self._store, caller, order.id)

    def _sent(self, dispatcher: Dispatcher, order: Order, *, webhook_url: str) -> None:
        webhook_url = self._webhooks.address_for(order.task, webhook_url)
        size_bytes = 0 if order.source is None else order.source.stored_bytes
        life_s = self._store.settings.results.expires_s
        try:
            self._quotas.take(QuotaKind.RUNNING, order.owner, order.id, ttl_s=life_s)
            if size_bytes:
                self._quotas.take_room(order.owner, order.id, size_bytes=size_bytes, ttl_s=life_s)
            if webhook_url:
                self._webhooks.register(order.id, webhook_url, order.owner)
            dispatcher.send(order)
        except Exception:
            self._quotas.leave(QuotaKind.RUNNING, order.owner, order.id)
            self._quotas.leave_room(order.owner, order.id)
            if webhook_url:
                self._webhooks.cancel(order.id)
            raise

    def _needed(self) -> Dispatcher:
        if self._dispatcher is None:
            detail = "this gateway only reads: it has no workers to speak to"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "only-reads", detail)
        return self._dispatcher


def _new_id() -> str:
    return str(uuid.uuid4())
