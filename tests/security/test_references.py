"""References: forged, foreign and expired ones, over HTTP, in Redis and in the object store."""

import time

import msgspec
import pytest

from resultstore import State
from resultstore.model import layout, record
from resultstore.model.errors import ResultStoreError
from tests.security import hostile

SPELLINGS = {
    "an option": lambda marker: {"arguments": {"table": marker}},
    "the arguments": lambda marker: {"arguments": marker},
    "deep inside": lambda marker: {"arguments": {"title": [[{"a": {"b": [marker]}}]]}},
    "beside": lambda marker: {"arguments": {}, "webhook_url": marker},
    "kombu's own words": lambda _: {"arguments": {"title": {"__type__": "datetime", "__value__": "2026-01-01"}}},
}


@pytest.mark.parametrize("where", SPELLINGS)
def test_reference_markers_are_refused_anywhere(target, attack, where):
    with attack(f"forged reference in {where}") as seen:
        body = SPELLINGS[where](hostile.marker())
        for path, whole in (
            ("/v1/tasks/examples.report", body),
            (
                "/v1/uploads",
                {
                    "name": "a",
                    "size_bytes": 1,
                    "media_type": "text/csv",
                    "task": "tables.preview",
                    "options": body["arguments"],
                },
            ),
        ):
            answer = target.ann.post(path, json=whole)
            if path == "/v1/uploads" and where == "beside":
                continue
            assert answer.status_code == 422, answer.text
        seen.refused()


@pytest.fixture
def victim(target):
    """Store a Result of Ann with bytes, and one of Bob."""
    made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
    return target.outcome(made)


CHANGES = {
    "another key": lambda _: {"key": layout.blob_key("x", retention="30d", nonce="0" * 32, n=0)},
    "another owner": lambda _: {"owner": "tokens:bob"},
    "another name": lambda _: {"file_name": "invoice.html", "media_type": "text/html"},
    "a longer life": lambda one: {"expires_at": one.expires_at + 86_400 * 365},
    "no mac": lambda _: {"mac": ""},
}


@pytest.mark.parametrize("change", CHANGES)
def test_poisoned_record_gives_no_access_to_bytes(target, attack, victim, change):
    with attack(f"poisoned record: {change}") as seen:
        store = target.place.store
        real = next(one for one in victim.artifacts if one.name != "input")
        forged = msgspec.structs.replace(real, **CHANGES[change](real))
        main, beside = record.encode(victim.moved(State.SUCCESS, artifacts=(forged,)))
        index = store.index
        keys = index._names.pair(victim.id)
        index.client.set(keys[0], main)
        index.client.set(keys[1], beside)

        answer = target.ann.get(f"/v1/results/{victim.id}/artifacts/{real.name}", params={"link": "1"})

        if answer.is_success:  # the seal has the true content
            assert real.key in answer.json()["url"]
            assert not any(word in answer.json()["url"] for word in ("text%2Fhtml", "invoice"))
            assert answer.json()["expires_at"] <= real.expires_at
        with pytest.raises(ResultStoreError):
            store.url(forged)
        index.client.delete(*keys)
        assert target.ann.get(f"/v1/results/{victim.id}/artifacts/{real.name}").status_code == 302
        seen.refused()


def test_a_reference_that_has_expired_opens_nothing(target, attack, victim):
    with attack("expired reference replayed") as seen:
        real = victim.artifacts[0]
        store = target.place.store
        stale = msgspec.structs.replace(real, expires_at=int(time.time()) - 1)
        with pytest.raises(ResultStoreError):
            store.url(stale)
        with pytest.raises(ResultStoreError):
            store.open(stale).read()
        seen.refused()


@pytest.mark.parametrize(
    "body", [b"", b"\xff" * 64, b"\x9f" + b"\x91" * 60_000, b"\xdd\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"]
)
def test_random_record_is_an_error_without_crash(target, attack, victim, body):
    with attack(f"hostile msgpack of {len(body)} bytes beginning {body[:2].hex()}") as seen:
        index = target.place.store.index
        index.client.set(index._names.record(victim.id), body)
        answer = target.ann.get(f"/v1/results/{victim.id}")
        assert answer.status_code in {200, 404, 500, 503}
        assert "Traceback" not in answer.text
        index.client.delete(index._names.record(victim.id))
        assert target.ann.get(f"/v1/results/{victim.id}").status_code == 200
        seen.refused()


def test_forged_seal_is_not_trusted(target, attack, victim):
    with attack("forged seal") as seen:
        store = target.place.store
        key = layout.seal_key(victim.id)
        document = b"".join(store.blobs.get(key))
        store.blobs.replace(key, document.replace(b'"media_type":"image/webp"', b'"media_type":"text/html" '), tags={})
        index = store.index
        index.client.delete(*index._names.pair(victim.id))
        answer = target.ann.get(f"/v1/results/{victim.id}")
        assert answer.status_code >= 400
        store.blobs.replace(key, document, tags={})
        assert target.ann.get(f"/v1/results/{victim.id}").status_code == 200
        seen.refused()
