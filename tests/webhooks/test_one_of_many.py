"""Isolation: an unreadable Result, or any other error, delays no other webhook."""

import uuid

import pytest

from resultstore.index.redis.driver import RedisIndex
from resultstore.model import layout
from resultstore.model.result import Result, State
from tests.webhooks.conftest import Gateway, soon

NEWER = bytes([0x92, 0x7F]) + b"from another version"


def watched(gateway: Gateway, url: str, count: int) -> list[Result]:
    made = [Result(id=f"{number}-{uuid.uuid4().hex}", owner="ann", state=State.STARTED) for number in range(count)]
    for one in made:
        gateway.store.save(one)
        gateway.webhooks.register(one.id, url, "ann")
    return made


def spoil(index: RedisIndex, result_id: str) -> None:
    index.client.set(index._names.prefix + layout.record_key(result_id), NEWER)


def test_an_unreadable_record_delays_no_other_webhook(quick, gateway, receiver):
    bad, *others = watched(gateway, receiver.url, 4)
    spoil(gateway.store.index, bad.id)

    for one in others:
        gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: len(receiver.got) == len(others))


def test_errors_end_neither_thread(quick, gateway, receiver, monkeypatch):
    outbox, failures = gateway.webhooks.outbox, []
    for name in ("lease", "read_waiting"):
        whole = getattr(outbox, name)

        def failing(*args, name=name, whole=whole, **options):
            if failures.count(name) < 2:
                failures.append(name)
                raise ValueError("no error of ours")
            return whole(*args, **options)

        monkeypatch.setattr(outbox, name, failing)
    soon(lambda: len(failures) == 4)

    [one] = watched(gateway, receiver.url, 1)
    gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: receiver.got)


@pytest.mark.parametrize("part", ["hooks", "waiting", "due"])
def test_foreign_keys_stop_no_webhook(quick, gateway, receiver, part):
    index = gateway.store.index
    index.client.set(index._names.prefix + layout.webhooks_key(part), "theirs")

    [one] = watched(gateway, receiver.url, 1)
    gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: receiver.got)
