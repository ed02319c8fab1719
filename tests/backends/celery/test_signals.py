"""Signals: receivers live as long as the object that connected them."""

import gc
import weakref

from celery import Celery
from celery.utils.dispatch import Signal

from resultstore.backends.celery.signals import Signals


class Owner:
    def __init__(self, signal: Signal, received: list[object]) -> None:
        self.received = received
        self.signals = Signals()
        self.signals.connect(signal, self.receive)

    def receive(self, **sent: object) -> None:
        self.received.append(sent["word"])


def test_receivers_live_as_long_as_their_owner():
    signal, received = Signal(), []
    owner = Owner(signal, received)

    gc.collect()
    signal.send(sender=None, word="first")
    del owner
    gc.collect()
    signal.send(sender=None, word="second")

    assert received == ["first"]


def test_disconnecting_one_owner_leaves_the_other():
    signal, received = Signal(), []
    first, second = Signals(), Signals()
    for one in (first, second):
        one.connect(signal, lambda **sent: received.append(sent["word"]))

    first.disconnect()
    signal.send(sender=None, word="once")

    assert received == ["once"]


def test_signals_keep_no_backend_alive():
    app = Celery("gone", backend="resultstore+memory://?blobs=memory://", set_as_current=False)
    backend = weakref.ref(app.backend)
    gc.collect()
    assert backend() is not None

    del app
    gc.collect()

    assert backend() is None
