"""Secrets: no repr and no local variable in a traceback shows a password or a key."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

import resultstore
from resultstore import Settings
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.connect import connect
from resultstore.telemetry.redaction import Secret

PASSWORD = "hunter2/x"
OURS = str(Path(resultstore.__file__).parent)
NOWHERE = f"user:{PASSWORD.replace('/', '%2F')}@127.0.0.1:1"


def shown_by(call: Callable[[], object]) -> str:
    """Return the local variables that an error tracker would collect from our frames."""
    with pytest.raises(Exception) as caught:
        call()
    seen = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in seen.stack if frame.filename.startswith(OURS)]
    assert frames
    return f"{caught.value}" + "".join(
        f"{name}={value}\n" for frame in frames for name, value in (frame.locals or {}).items()
    )


def celery_with(url: str) -> Callable[[], object]:
    return lambda: Celery("tasks", backend=f"resultstore+{url}", set_as_current=False).backend.get_state("one")


CALLS = {
    "a port that is none": lambda: connect(Settings(index_url=f"redis://:{PASSWORD}@host:port")),
    "a Redis that is away": lambda: connect(Settings(index_url=f"redis://{NOWHERE}/0")).load("one"),
    "a password in the query": lambda: connect(Settings(index_url=f"redis://127.0.0.1:1?password={PASSWORD}")).load(
        "one"
    ),
    "a database that is none": lambda: connect(Settings(index_url=f"redis://{NOWHERE}/abc")),
    "a sentinel without a master": lambda: connect(Settings(index_url=f"sentinel://{NOWHERE}/0")),
    "a sentinel that is away": lambda: connect(Settings(index_url=f"sentinel://{NOWHERE}/0?master_name=m")).load("one"),
    "a cluster that is away": lambda: connect(Settings(index_url=f"redis-cluster://{NOWHERE}")).load("one"),
    "Celery with a Redis that is away": celery_with(f"redis://{NOWHERE}/0"),
    "Celery with a scheme that is none": celery_with(f"http://{NOWHERE}/0"),
    "Celery with two sentinels": celery_with(f"sentinel://{NOWHERE}/0;sentinel://{NOWHERE}/0"),
    "a secret key that is too short": lambda: connect(
        Settings(index_url="memory://", blobs_url="file:///nowhere", secret_key="hunter2")
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_traceback_shows_a_secret(call):
    assert "hunter2" not in shown_by(CALLS[call])


def test_no_repr_of_settings_shows_a_secret():
    urls = dict.fromkeys(("index_url", "broker_url", "bucket_events_broker_url"), f"amqp://me:{PASSWORD}@host/v")
    settings = Settings(**urls, secret_key="hunter2" * 4, webhook_secret="whsec_hunter2")

    assert "hunter2" not in repr(settings) + repr(vars(settings))
    assert settings.broker.url == f"amqp://me:{PASSWORD}@host/v"
    assert "***@host/v" in repr(settings)


def test_a_url_without_a_secret_is_shown():
    assert repr(Settings(index_url="redis://host:6379/0").index.url) == "'redis://host:6379/0'"


def test_credentials_show_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hunter2")

    found = CredentialChain()()

    assert "hunter2" not in repr(found) + repr([found.secret_key, found.session_token])
    assert (found.secret_key, found.session_token) == ("hunter2", "hunter2")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:a@b@host/0", "redis://***@host/0"),
        ("redis://host/0?password=a&db=1", "redis://host/0?password=***&db=1"),
        ("user:a@host:1", "***@host:1"),
        ("a key", "***"),
        ("", ""),
    ],
)
def test_a_secret_url_shows_only_its_host(text, shown):
    assert repr(Secret(text)) == repr(shown)
    assert f"{Secret(text)}" == text
