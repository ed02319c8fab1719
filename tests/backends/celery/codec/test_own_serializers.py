"""Serializers that users register at kombu: spilled as json is, or one warning says that values travel whole."""

import json
import pickle
import uuid
import warnings
from collections.abc import Iterator

import msgspec
import pytest
from celery import Celery, chain
from celery.signals import before_task_publish
from kombu.serialization import dumps, register

from resultstore.backends.celery import setup
from resultstore.backends.celery.codec.content_types import ContentTypes, makes_objects
from resultstore.backends.celery.codec.serializers import deserialize
from resultstore.backends.celery.testing import working
from resultstore.model.errors import BadReference

WAIT_S = 60
LARGE = 30_000


REGISTERED = {
    "own-text": (json.dumps, json.loads, "application/x-own-text", "utf-8"),
    "own-bytes": (msgspec.msgpack.encode, msgspec.msgpack.decode, "application/x-own-bytes", "binary"),
    "own-objects": (pickle.dumps, pickle.loads, "application/x-own-objects", "binary"),
}


# For as long as the process lives: a worker leaves its app as Celery's current one, which still names them.
for name, (write, reads, media_type, encoding) in REGISTERED.items():
    register(name, write, reads, content_type=media_type, content_encoding=encoding)


@pytest.fixture
def sizes() -> Iterator[list[int]]:
    """How long each message's body is, as its own serializer writes it."""
    written: list[int] = []

    def sent(body=None, headers=None, **_: object) -> None:
        written.append(len(dumps(body, headers["serializer_of_this_test"])[2]))

    before_task_publish.connect(sent, weak=False)
    yield written
    before_task_publish.disconnect(sent)


def made(serializer: str, *, accepted: bool = True) -> Celery:
    app = Celery("own", set_as_current=False)
    app.conf.update(
        result_backend="resultstore+memory://",
        task_serializer=serializer,
        result_serializer=serializer if accepted else "json",
        accept_content=["json", *([serializer] if accepted else [])],
        task_default_queue=uuid.uuid4().hex,
    )
    setup(app)
    return app


@pytest.mark.parametrize("serializer", ["own-text", "own-bytes"])
def test_own_serializer_is_spilled_and_read(serializer: str, sizes: list[int]):
    app = made(serializer)

    @app.task(shared=False)
    def twice(text: str) -> str:
        return text + text

    with working(app):
        steps = [twice.s("v" * LARGE), twice.s()]
        result = chain(*(one.set(headers={"serializer_of_this_test": serializer}) for one in steps))()
        assert result.get(timeout=WAIT_S) == "v" * 4 * LARGE
    assert len(sizes) == 2
    assert max(sizes) < 4_000


@pytest.mark.parametrize(("serializer", "accepted"), [("own-text", False), ("own-objects", True)])
def test_one_warning_says_that_values_travel_whole(serializer: str, accepted: bool):
    app = made(serializer, accepted=accepted)
    app.conf.update(broker_url="memory://", resultstore_blobs_url="memory://")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        messages = [app.amqp.as_task_v2(str(n), "name", ("v" * LARGE,), {}) for n in range(3)]
    assert [message.body[0][0] for message in messages] == ["v" * LARGE] * 3
    assert [serializer in str(one.message) for one in told if issubclass(one.category, UserWarning)] == [True]


def test_serializer_of_any_class_is_never_read(monkeypatch: pytest.MonkeyPatch):
    media_type = REGISTERED["own-objects"][2]
    with pytest.raises(BadReference, match="accept_content"):
        deserialize(pickle.dumps("v"), media_type, readable=ContentTypes(["own-objects", media_type]))


@pytest.mark.parametrize(
    ("media_type", "makes"),
    [
        ("application/x-own-text", False),
        ("application/x-own-bytes", False),
        ("application/x-own-objects", True),
        ("application/x-python-serialize", True),
        ("application/json", False),
        ("application/x-yaml", False),
        ("application/x-msgpack", False),
    ],
)
def test_makes_objects_recognises_serializers_like_pickle(media_type: str, makes: bool):
    assert makes_objects(media_type) is makes
