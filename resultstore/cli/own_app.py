"""OwnApp: a user's own Celery app and its offers, behind the gateway and the worker command."""

from typing import TYPE_CHECKING

from resultstore.cli.extras import require_extra
from resultstore.dispatch.orders import Dispatcher
from resultstore.model.errors import Misconfigured
from resultstore.store import Store

if TYPE_CHECKING:
    from resultstore.dispatch.offers import Offers


class OwnApp:
    """The Celery app that `--app` names.

    Args:
        name: `module` or `module:app`, as for `celery -A`; modules in the current folder are found too.

    Raises Misconfigured if there is no such app, it has another result backend, or `setup(app)` was not called.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._app = require_extra("resultstore.cli.celery_app", extra="celery").load_own_app(name)

    @property
    def store(self) -> Store:
        """The Store of the app's result backend, with the settings of the app."""
        store: Store = require_extra("resultstore.backends.celery.setup", extra="celery").store_of(self._app)
        return store

    def dispatcher(self) -> Dispatcher:
        """Return what sends the app's tasks to its broker."""
        dispatching = require_extra("resultstore.backends.celery.dispatching", extra="celery")
        dispatcher: Dispatcher = dispatching.CeleryDispatcher(self._app)
        return dispatcher

    def offers(self, named: str) -> "Offers":
        """Return the offers that `named` says (`module:name`), or else those that the app declares by `offered`.

        Raises Misconfigured if there are none.
        """
        if named:
            offering = require_extra("resultstore.gateway.tasks.registered_offers", extra="gateway")
            found: Offers = offering.configured_offers(named)
            return found
        found = require_extra("resultstore.backends.celery.offering", extra="celery,gateway").offers_of(self._app)
        if not found:
            raise Misconfigured(
                f"the app {self.name!r} offers no task: declare one with resultstore.backends.celery.offered, or name "
                "the offers with --offers module:name"
            )
        return found
