"""TaskStarter: starts, retries and cancels tasks for a caller, within quotas and once per idempotency key."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from resultstore.dispatch.offers import Offers
from resultstore.dispatch.orders import Dispatcher, Order
from resultstore.gateway.idempotency import Idempotency
from resultstore.gateway.identity.caller import Caller, load_visible, shorten
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.gateway.tasks.retryable import RetryFinder
from resultstore.model.errors import WrongType
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.ticket import OPEN_STATES, is_refused
from resultstore.webhooks.hooks import Webhooks


class TaskStarter:
    """Starts offered tasks and retries their Results.

    Args:
        store: holds the Results.
        dispatcher: sends tasks to the workers; None for a read-only gateway.
        offers: the tasks that callers may start.
        quotas: the limits per owner.
        webhooks: registers webhooks.
        retry_finder: finds the order of a Result to retry.
    """

    def __init__(
        self,
        store: Store,
        *,
        dispatcher: Dispatcher | None,
        offers: Offers,
        quotas: Quotas,
        webhooks: Webhooks,
        retry_finder: RetryFinder,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._offers = offers
        self._quotas = quotas
        self._webhooks = webhooks
        self._idempotency = Idempotency(store.index)
        self._retry_finder = retry_finder

    def start(
        self, caller: Caller, task: str, arguments: Mapping[str, object], *, key: str, webhook_url: str = ""
    ) -> Result:
        """Start `task` and return its Result; `webhook_url` is notified of the end, "" for none.

        Raises Problem 404 for a task that is not offered, 422 for invalid arguments, and AddressRefused.
        """
        offer = self._offers.get(task)
        if offer is None:
            detail = f"task {shorten(task)} is not offered, or no worker has registered it; see GET /v1/tasks"
            raise Problem(HTTPStatus.NOT_FOUND, "task-missing", detail)
        if offer.takes:
            detail = f"task {task} takes a file: start it with POST /v1/uploads"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        try:
            checked = offer.checked(arguments)
        except WrongType as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", str(error)) from error
        if webhook_url:
            self._webhooks.check(webhook_url)
        order = Order(id=_new_id(), task=task, owner=caller.owner, arguments=checked)
        return self._start_once(caller, order, key=key, webhook_url=webhook_url)

    def retry(self, caller: Caller, result_id: str, *, key: str) -> Result:
        """Start the same task with the same input and arguments. Raises Problem 409 if the order is not stored."""
        found = load_visible(self._store, caller, result_id)
        order = self._retry_finder.order(found)
        if order is None:
            why = "its upload was rejected and deleted" if is_refused(found) else "its order is not stored"
            again = "upload the file again" if is_refused(found) else "start a new task"
            detail = f"result {shorten(result_id)} cannot be retried, {why}: {again}"
            raise Problem(HTTPStatus.CONFLICT, "not-repeatable", detail)
        if not self._retry_finder.is_input_stored(order):
            detail = f"result {shorten(result_id)} cannot be restarted, its file was deleted: upload the file again"
            raise Problem(HTTPStatus.CONFLICT, "not-repeatable", detail)
        if order.source is not None:
            self._retry_finder.mark_restarted(order)
            self._store.url(order.source)  # raises ArtifactExpired now instead of in the worker
        retry_order = msgspec.structs.replace(order, id=_new_id(), owner=caller.owner, retry_of=found.id)
        return self._start_once(caller, retry_order, key=key)

    def check_input_unused(self, found: Result) -> None:
        """Raise Problem 409 if retries of `found` are stored that use its upload, and would lose it with `found`."""
        if self._retry_finder.uses_of_input(found):
            detail = (
                f"result {shorten(found.id)} cannot be deleted, a result that was restarted from it uses its file: "
                "delete that one first, or send ?force=true"
            )
            raise Problem(HTTPStatus.CONFLICT, "input-in-use", detail)

    def cancel(self, caller: Caller, result_id: str) -> Result:
        """Revoke the task and return its Result; a Result that has ended stays unchanged."""
        found = load_visible(self._store, caller, result_id)
        if found.terminal:
            return found
        if found.state in OPEN_STATES:
            detail = f"upload {shorten(result_id)} is still open: send DELETE /v1/uploads/{shorten(result_id)}"
            raise Problem(HTTPStatus.CONFLICT, "not-finished", detail)
        self._require_dispatcher().cancel(found.id)
        return self._store.load(found.id) or found

    def _start_once(self, caller: Caller, order: Order, *, key: str, webhook_url: str = "") -> Result:
        dispatcher = self._require_dispatcher()
        request = [order.task, order.arguments, order.retry_of, webhook_url]
        claimed_id = self._idempotency.begin(caller.owner, key, request=request, id=order.id)
        if claimed_id != order.id:
            return load_visible(self._store, caller, claimed_id)
        try:
            self._send(dispatcher, order, webhook_url=webhook_url)
        except Exception:
            self._idempotency.release(caller.owner, key)
            raise
        self._idempotency.complete(caller.owner, key, request=request, id=order.id)
        return load_visible(self._store, caller, order.id)

    def _send(self, dispatcher: Dispatcher, order: Order, *, webhook_url: str) -> None:
        webhook_url = self._webhooks.address_for(order.task, webhook_url)
        size_bytes = 0 if order.source is None else order.source.stored_bytes
        life_s = self._store.settings.results.expires_s
        try:
            self._quotas.take(QuotaKind.RUNNING, order.owner, order.id, ttl_s=life_s)
            if size_bytes:
                self._quotas.reserve_bytes(order.owner, order.id, size_bytes=size_bytes, ttl_s=life_s)
            if webhook_url:
                self._webhooks.register(order.id, webhook_url, order.owner)
            dispatcher.send(order)
        except Exception:
            self._quotas.leave(QuotaKind.RUNNING, order.owner, order.id)
            self._quotas.release_bytes(order.owner, order.id)
            if webhook_url:
                self._webhooks.cancel(order.id)
            raise

    def _require_dispatcher(self) -> Dispatcher:
        if self._dispatcher is None:
            detail = "this gateway is read-only: it has no workers to start or cancel tasks"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "only-reads", detail)
        return self._dispatcher


def _new_id() -> str:
    return str(uuid.uuid4())
