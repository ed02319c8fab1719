"""Durability: restarts, lost announcements and other gateways neither lose nor repeat a webhook."""

import threading
import time
import uuid
from contextlib import ExitStack

import pytest

from resultstore.index.redis.driver import RedisIndex
from resultstore.model.result import Result, State
from resultstore.store import Store
from resultstore.webhooks import noticing, sending
from resultstore.webhooks.hooks import Webhooks
from tests.index.redis.conftest import PrivateRedis
from tests.webhooks.conftest import Gateway, running, soon, with_status


@pytest.fixture
def one():
    return Result(id=uuid.uuid4().hex, owner="ann", state=State.STARTED)


def left(gateway: Gateway) -> list[bytes]:
    return gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}rs:{{webhooks}}*")


def test_a_webhook_survives_a_restart(quick, made, receiver, one):
    before = made()
    with running(before):
        before.webhooks.register(one.id, receiver.url, "ann")
    before.store.save(one.moved(State.SUCCESS))
    assert receiver.got == []

    with running(made()):
        soon(lambda: receiver.got)


def test_an_unannounced_end_is_found(quick, gateway, receiver, one):
    index = gateway.store.index
    gateway.store.save(one.moved(State.SUCCESS))  # before the gateway subscribed
    gateway.webhooks.set_listener(lambda _: None)
    gateway.webhooks.register(one.id, receiver.url, "ann")
    soon(lambda: receiver.got)
    assert index.client.exists(f"{index._names.prefix}rs:{{{one.id}}}")


def test_an_announced_end_is_detected_at_once(gateway, receiver, one):
    soon(lambda: gateway.sending._loop)
    time.sleep(0.2)  # the first look is over; the next is 10 s away
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one)
    began = time.monotonic()
    gateway.store.save(one.moved(State.SUCCESS))
    soon(lambda: receiver.got)
    assert time.monotonic() - began < noticing.CHECK_S / 3


def test_one_of_many_gateways_sends_each(quick, made, receiver):
    gateways = [made() for _ in range(3)]
    ids = [uuid.uuid4().hex for _ in range(40)]
    with ExitStack() as stack:
        for gateway in gateways:
            stack.enter_context(running(gateway))
        for n, one in enumerate(ids):
            gateways[n % 3].webhooks.register(one, f"{receiver.url}/{one}", "ann")
            gateways[n % 3].store.save(Result(id=one, owner="ann", state=State.SUCCESS))
        soon(lambda: not left(gateways[0]), 20)
    assert sorted(path for path, _, _ in receiver.got) == sorted(f"/hook/{one}" for one in ids)


def test_hooks_of_a_dead_gateway_are_taken_over(quick, made, receiver, one, monkeypatch):
    dead = made()
    dead.webhooks.register(one.id, receiver.url, "ann")
    dead.store.save(one.moved(State.SUCCESS))
    assert dead.webhooks.outbox.mark_due(one.id)
    (held,) = dead.webhooks.outbox.lease(10, lease_s=0.4)
    assert held.id == one.id
    assert dead.webhooks.outbox.lease(10, lease_s=0.4) == []

    with running(made()):
        soon(lambda: receiver.got)


def test_concurrent_sends_are_limited(quick, gateway, receiver):
    now, most, lock = [0], [0], threading.Lock()

    def slow(handler, nth):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with lock:
            now[0] -= 1
        with_status(204)(handler, nth)

    receiver.answer = slow
    for _ in range(40):
        one = uuid.uuid4().hex
        gateway.webhooks.register(one, receiver.url, "ann")
        gateway.store.save(Result(id=one, owner="ann", state=State.SUCCESS))
    soon(lambda: not left(gateway), 20)
    assert len(receiver.got) == 40
    assert 1 < most[0] <= sending.CONCURRENCY


def test_a_deleted_result_sends_nothing(quick, gateway, receiver, one):
    gateway.store.save(one)
    gateway.webhooks.register(one.id, receiver.url, "ann")
    time.sleep(0.2)
    gateway.store.delete(one.id)
    soon(lambda: not left(gateway))
    assert receiver.got == []


def test_an_unknown_result_is_removed_after_a_day(quick, gateway, receiver, one, monkeypatch):
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.webhooks.cancel(one.id)
    assert left(gateway) == []
    gateway.webhooks.register(one.id, receiver.url, "ann")
    monkeypatch.setattr(noticing, "_UNKNOWN_S", -1)  # as after a day
    soon(lambda: not left(gateway))
    assert receiver.got == []


def test_a_restarted_redis_loses_no_webhook(quick, tmp_path, settings, receiver, one):
    server = PrivateRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    store = Store(index=RedisIndex(server.url), blobs=None, signer=None, settings=settings)
    try:
        with running(Gateway(store, Webhooks(store))) as gateway:
            gateway.webhooks.register(one.id, receiver.url, "ann")
            store.save(one)
            server.stop()
            time.sleep(0.3)
            server.start()
            store.save(one.moved(State.SUCCESS))
            soon(lambda: receiver.got)
    finally:
        server.stop()
