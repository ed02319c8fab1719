"""Sections that are moved out of a long seal: the caller, the record and another process see the same Result."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resultstore import Settings, State, Store, connect
from resultstore.capture.run import run_captured
from resultstore.model import layout
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running


def many_parts(store: Store) -> None:
    for number in range(250):
        store.put(b"%d" % number, name=f"part-{number:03}")


def one_with_much_metadata(store: Store) -> None:
    store.put(b"content", name="part", metadata={"note": "x" * 100_000})


def many_names(store: Store) -> None:
    for number in range(60):
        store.put(b"1", name=f"{number:02}" + "\U0001f600" * 200)


LONG: list[Callable[[Store], None]] = [many_parts, one_with_much_metadata, many_names]


class Text:
    """How a backend writes its values, in its simplest form."""

    def encoded(self, value: object) -> bytes:
        return str(value).encode()

    def decoded(self, payload: bytes | None) -> object:
        return (payload or b"").decode()


def facts(result: Result | None) -> tuple[object, ...]:
    """What each reader returns of a Result, but for what only the index knows."""
    assert result is not None
    return result.state, result.sealed, result.nonce, result.expires_at, result.artifacts


@pytest.fixture
def folder(tmp_path: Path) -> Settings:
    return Settings(index_url="memory://", blobs_url=tmp_path.as_uri(), secret_key="k" * 32)


@pytest.mark.parametrize("fill", LONG, ids=lambda one: one.__name__)
def test_every_reader_sees_all_artifacts(folder: Settings, fill: Callable[[Store], None]):
    # given
    store, attempt = connect(folder), Attempt("job")
    with running(attempt):
        fill(store)

    # when
    sealed = store.seal(attempt, value=b"1")
    store.save(sealed)

    # then
    assert sealed.artifacts == attempt.artifacts
    assert facts(store.load("job")) == facts(sealed)
    assert facts(connect(folder).load("job")) == facts(sealed), "another process, which has no record"
    assert b"artifacts_at" in b"".join(store.blobs.get(layout.seal_key("job"))), "it was no long seal"


@pytest.mark.parametrize("fill", LONG, ids=lambda one: one.__name__)
def test_captured_task_keeps_all_artifacts(store: Store, fill: Callable[[Store], None]):
    attempt = Attempt("job")

    captured = run_captured(store, attempt, lambda: fill(store), codec=Text())

    assert captured.sealed is not None
    assert captured.sealed.artifacts == attempt.artifacts
    assert len(attempt.artifacts) > 0


def test_second_attempt_is_given_all_artifacts(store: Store):
    first, second = Attempt("job"), Attempt("job")
    with running(first):
        many_parts(store)
    store.seal(first)

    outcome = store.seal(second)

    assert outcome.state == State.SUCCESS
    assert outcome.artifacts == first.artifacts


def test_put_shows_artifact_with_much_metadata(store: Store):
    artifact = store.put(b"content", name="part", metadata={"note": "x" * 100_000})

    assert store.load(artifact.id).artifacts == (artifact,)
    assert store.put(b"content", name="part", id=artifact.id) == artifact


def test_moved_digest_tables_still_verify(folder: Settings):
    store, attempt = connect(folder), Attempt("job")
    with running(attempt):
        for number in range(120):
            store.put(bytes([number]) * 2_000, name=f"{number:03}" + "n" * 150, compress=True)
    sealed = store.seal(attempt)

    assert b"tables_at" in b"".join(store.blobs.get(layout.seal_key("job"))), "the tables were not moved"
    with connect(folder).open(sealed.artifacts[7]) as content:
        assert content.read() == bytes([7]) * 2_000
