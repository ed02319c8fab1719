"""WebhookSender: sends signed messages, with retries until they are delivered."""

import base64
import dataclasses
import json
import time
import uuid

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from resultstore.gateway.views import ResultView
from resultstore.model import layout
from resultstore.model.errors import AddressRefused, Damaged, Misconfigured
from resultstore.model.result import Failure, Result, State
from resultstore.webhooks import sending
from resultstore.webhooks.outbox import PendingWebhook, WebhookOutbox
from resultstore.webhooks.running import sending_webhooks
from resultstore.webhooks.sending import retry_pause_s
from resultstore.webhooks.signing import WebhookSigner
from tests.webhooks.conftest import SECRET, running, soon, with_status


@pytest.fixture
def one():
    return Result(id=uuid.uuid4().hex, owner="ann", task="images.resize", state=State.STARTED)


def test_a_webhook_is_sent_once_and_signed(gateway, receiver, one):
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one)
    time.sleep(0.1)
    assert receiver.got == []

    gateway.store.save(one.moved(State.SUCCESS, ended_at=1_795_132_800.0))

    soon(lambda: receiver.got)
    soon(lambda: not gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}rs:{{webhooks}}*"))
    ((path, headers, body),) = receiver.got
    told = Webhook(SECRET).verify(body, headers)
    assert path == "/hook"
    assert told["type"] == "result.succeeded"
    assert told["timestamp"] == "2026-11-20T00:00:00+00:00"
    assert told["data"]["id"] == one.id
    assert told["data"].keys() == ResultView.model_fields.keys()
    assert headers["content-type"] == "application/json"
    assert "X-Amz" not in body.decode()
    assert "signature=" not in body.decode()


def test_a_changed_body_or_time_fails_verification():
    headers = dict(WebhookSigner(SECRET).headers("msg_1", b"{}", now_s=int(time.time())))
    assert Webhook(SECRET).verify(b"{}", headers) == {}
    for changed in ({}, {"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(time.time()) - 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(b"{}" if changed else b"[]", headers | changed)


def test_both_secrets_verify_during_rotation():
    new = "whsec_" + base64.b64encode(b"another secret of the tests, 32.").decode()
    headers = dict(WebhookSigner(f"{new} {SECRET}").headers("msg_1", b"{}", now_s=int(time.time())))
    assert Webhook(SECRET).verify(b"{}", headers) == Webhook(new).verify(b"{}", headers) == {}


@pytest.mark.parametrize("secret", ["secret", "whsec_c2hvcnQ=", "whsec_!!!", "whsec_" + "QUFB" * 40])
def test_an_invalid_secret_is_refused_without_showing_it(secret):
    with pytest.raises(Misconfigured, match="WEBHOOK_SECRET") as refused:
        WebhookSigner(secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ({"state": State.FAILURE, "failure": Failure("ValueError", "no")}, "result.failed"),
        ({"state": State.REVOKED}, "result.revoked"),
    ],
)
def test_failures_and_revocations_are_sent_too(gateway, receiver, one, end, kind):
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(msgspec.structs.replace(one, **end))
    soon(lambda: receiver.got)
    assert json.loads(receiver.got[0][2])["type"] == kind


def test_a_retry_sends_the_same_message(quick, gateway, receiver, one):
    receiver.answer = with_status(500, 404, 302, 200, headers={"Location": "/elsewhere"})
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: gateway.sending.sent_total["delivered"])

    assert gateway.sending.sent_total == {"delivered": 1, "failed": 3, "given up": 0}
    assert [path for path, _, _ in receiver.got] == ["/hook"] * 4
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert len({body for _, _, body in receiver.got}) == 1
    for _, headers, body in receiver.got:
        Webhook(SECRET).verify(body, headers)


def test_a_410_ends_the_retries(quick, gateway, receiver, one):
    receiver.answer = with_status(410)
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one.moved(State.SUCCESS))
    soon(lambda: gateway.sending.sent_total["given up"])
    time.sleep(0.3)
    assert len(receiver.got) == 1


def test_retries_end_after_a_day(quick, gateway, receiver, one, monkeypatch):
    monkeypatch.setattr(sending, "LAST_TRY_S", 0.3)
    receiver.answer = with_status(500)
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one.moved(State.SUCCESS))
    soon(lambda: gateway.sending.sent_total["failed"] > 1)
    soon(lambda: not gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}rs:{{webhooks}}*"))
    count = len(receiver.got)
    time.sleep(0.3)
    assert len(receiver.got) == count


@pytest.mark.parametrize(
    "url", ["http://xn--:{port}/", "http://a..b:{port}/", "http://{long}:{port}/", "::", "http://["]
)
def test_a_stored_invalid_address_is_given_up(quick, gateway, receiver, one, url):
    address = url.format(port=receiver.server_port, long="a" * 64)
    gateway.webhooks.outbox.add(PendingWebhook(id=one.id, url=address, owner="ann"))
    gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: gateway.sending.sent_total["given up"] + gateway.sending.sent_total["failed"])


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), KeyError("kind"), Damaged("the seal of x is damaged")])
def test_every_error_counts_as_an_attempt(quick, made, receiver, one, *, monkeypatch, error):
    monkeypatch.setattr(sending, "LAST_TRY_S", 0.3)

    def view(_result):
        raise error

    gateway = made()
    with sending_webhooks(gateway.webhooks, gateway.store, view) as tried:
        gateway.webhooks.register(one.id, receiver.url, "ann")
        gateway.store.save(one.moved(State.SUCCESS))

        soon(lambda: tried.sent_total["failed"] > 1)
        soon(lambda: not gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}rs:{{webhooks}}*"))


def test_backoff_grows_to_hours_with_jitter():
    assert all(3.75 <= retry_pause_s(0) <= 6.25 for _ in range(100))
    assert all(60 <= retry_pause_s(2) <= 100 for _ in range(100))
    assert all(10_800 <= retry_pause_s(50) <= 18_000 for _ in range(100))
    assert len({retry_pause_s(3) for _ in range(10)}) > 1


def test_long_and_slow_answers_are_cut_off(quick, gateway, receiver, one, monkeypatch):
    monkeypatch.setattr(sending, "TRY_S", 0.5)
    sent = []

    def endless(handler, nth):
        handler.send_response(200)
        handler.end_headers()
        while nth == 1:
            time.sleep(0.02)  # a drip: each read is quick, and they never end
            handler.wfile.write(b"x")
        for _ in range(1000):
            handler.wfile.write(b"x" * 65536)
            sent.append(65536)

    receiver.answer = endless
    gateway.webhooks.register(one.id, receiver.url, "ann")
    gateway.store.save(one.moved(State.SUCCESS))

    soon(lambda: gateway.sending.sent_total["delivered"])
    assert gateway.sending.sent_total["failed"] == 1
    assert sum(sent) < 20 * 1024 * 1024


def test_a_no_longer_allowed_address_gets_nothing(quick, made, receiver, one):
    before = made()
    before.webhooks.register(one.id, receiver.url, "ann")
    before.store.save(one.moved(State.SUCCESS))
    after = made()
    after.webhooks.addresses._private = ()
    with running(after):
        soon(lambda: after.sending.sent_total["given up"])
    assert receiver.got == []


def test_another_owners_result_is_not_sent(quick, gateway, receiver, one):
    gateway.webhooks.register(one.id, receiver.url, "bob")
    gateway.store.save(one.moved(State.SUCCESS))
    soon(lambda: gateway.sending.sent_total["given up"])
    assert receiver.got == []


def test_a_forged_hook_is_removed(quick, gateway, receiver, one):
    index = gateway.store.index
    gateway.store.save(one.moved(State.SUCCESS))
    forged = msgspec.msgpack.encode(PendingWebhook(id=one.id, url=receiver.url, owner="ann", mac="0" * 32))
    hooks, due = (index._names.prefix + layout.webhooks_key(part) for part in ("hooks", "due"))
    for document in (forged, b"nonsense"):
        index.client.hset(hooks, one.id, document)
        index.client.zadd(due, {one.id: 1.0})
        soon(lambda: not index.client.exists(hooks, due))
    assert receiver.got == []


def test_a_hook_is_bound_to_its_result(gateway, receiver, one):
    """A genuine document under another id would send the other Result."""
    outbox: WebhookOutbox = gateway.webhooks.outbox
    document = outbox._encode(PendingWebhook(id=one.id, url=receiver.url, owner="ann"))
    assert outbox._decode_or_remove(b"another", document) is None
    assert outbox._decode_or_remove(one.id.encode(), document).url == receiver.url


def test_a_private_address_is_refused_at_registration(made, one):
    gateway = made()
    for url in ("http://10.0.0.1/", "http://127.0.0.1:22/", "ftp://example.com/"):
        with pytest.raises(AddressRefused):
            gateway.webhooks.register(one.id, url, "ann")
    assert gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}*") == []


def test_webhooks_without_a_secret_name_the_setting(made, one, settings, receiver):
    gateway = made()
    gateway.store.settings = dataclasses.replace(settings, webhook_secret="")
    with pytest.raises(AddressRefused, match="RESULTSTORE_WEBHOOK_SECRET"):
        type(gateway.webhooks)(gateway.store).register(one.id, receiver.url, "ann")
