"""Naming: what the caller said comes first, then the source's name, then the content."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resultstore import BadReference, Output, Store, WrongType
from resultstore.capture.outputs import capture
from resultstore.store.attempt import Attempt, running

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
CSV = "text/csv"
BYTES = "application/octet-stream"


def temporary(folder: Path, content: bytes = b"a,b\n") -> Path:
    path = folder / "tmp_9r2y5ry.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("given", "name", "file_name", "media_type"),
    [
        ({}, "tmp_9r2y5ry.csv", "tmp_9r2y5ry.csv", CSV),
        ({"name": "sales-2026.csv"}, "sales-2026.csv", "sales-2026.csv", CSV),
        ({"name": "sales"}, "sales", "sales.csv", CSV),
        ({"name": "sales.txt"}, "sales.txt", "sales.txt", "text/plain"),
        ({"name": "sales", "file_name": "Sales 2026.txt"}, "sales", "Sales 2026.txt", "text/plain"),
        ({"name": "sales.txt", "file_name": "Sales 2026"}, "sales.txt", "Sales 2026", "text/plain"),
        ({"file_name": "Sales 2026.csv"}, "Sales 2026.csv", "Sales 2026.csv", CSV),
        ({"file_name": "Q1/2026\n.csv"}, "Q1_2026_.csv", "Q1_2026_.csv", CSV),
        ({"name": "sales.csv", "media_type": "a/b"}, "sales.csv", "sales.csv", "a/b"),
    ],
)
def test_given_names_win_in_every_way(store: Store, tmp_path: Path, *, given, name, file_name, media_type):
    path = temporary(tmp_path)
    with running(Attempt("returned")):
        returned = capture(store, Output(data=path, **given))
    with path.open("rb") as file:
        made = [store.put(path, **given), store.put(file, **given), returned]

    assert {(one.name, one.file_name, one.media_type) for one in made} == {(name, file_name, media_type)}


@pytest.mark.parametrize(
    ("given", "content", "file_name", "media_type"),
    [
        ({}, PNG, "output.png", "image/png"),
        ({"name": "chart"}, PNG, "chart.png", "image/png"),
        ({"name": "chart.csv"}, PNG, "chart.csv", CSV),
        ({"name": "chart", "media_type": "application/pdf"}, PNG, "chart.pdf", "application/pdf"),
        ({"name": "chart"}, b"plain", "chart", BYTES),
        ({"name": "chart"}, b"", "chart", BYTES),
        ({"name": "chart"}, b"RIFF\0\0\0\0WEBPVP8 ", "chart.webp", "image/webp"),
    ],
)
def test_content_tells_its_type_without_a_name(store: Store, given, content, file_name, media_type):
    def pieces() -> Iterator[bytes]:
        yield content

    for source in [content, pieces()]:
        artifact = store.put(source, **given)

        assert (artifact.file_name, artifact.media_type) == (file_name, media_type)
        assert store.open(artifact).read() == content
    with store.writer(**given) as out:
        out.write(content)
    assert (out.artifact.file_name, out.artifact.media_type) == (file_name, media_type)


def test_unnamed_outputs_of_a_task_are_numbered(store: Store, tmp_path: Path):
    path = temporary(tmp_path)

    with running(Attempt("job")):
        returned = capture(store, [path, (b for b in [PNG]), path, (b for b in [b"x"]), Output(data=b"y"), path])

    assert [one.name for one in returned] == [
        "tmp_9r2y5ry.csv", "output", "tmp_9r2y5ry-2.csv", "output-2", "output-3", "tmp_9r2y5ry-3.csv",
    ]  # fmt: skip
    assert [one.file_name for one in returned[1:5]] == ["output.png", "tmp_9r2y5ry-2.csv", "output-2", "output-3"]


def test_number_never_takes_a_given_name(store: Store):
    with running(Attempt("job")):
        store.put(b"", name="output-2")
        made = [store.put(b"").name, store.put(b"").name]

        with pytest.raises(BadReference, match="already"):
            store.put(b"", name="output")
    assert made == ["output", "output-3"]


def test_long_names_are_numbered_within_their_limit(store: Store, tmp_path: Path):
    path = tmp_path / ("x" * 250 + ".csv")
    path.write_bytes(b"")

    with running(Attempt("job")):
        first, second = store.put(path), store.put(path)

    assert len(first.name) == 254
    assert len(second.name) == 255
    assert second.name.endswith("x-2.csv")


def test_name_is_free_again_after_a_failed_put(store: Store):
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    with running(Attempt("job")):
        with pytest.raises(ZeroDivisionError):
            store.put(broken(), name="a.csv")
        assert store.put(b"x", name="a.csv").name == "a.csv"


@pytest.mark.parametrize(
    "odd", ["image/png;, text/html", "image/png; a=b, text/html", 'a/b; c="d', "a/b; c", "a/b;c=\n"]
)
def test_media_type_is_one_type(store, odd):
    with pytest.raises(WrongType):
        store.put(b"x", name="a", media_type=odd)


@pytest.mark.parametrize(
    "usual", ["text/csv; charset=utf-8; header=present", 'video/mp4; codecs="avc1.4, mp4a.40"', "a/b;"]
)
def test_media_type_keeps_its_parameters(store, usual):
    assert store.put(b"x", name="a", media_type=usual).media_type == usual
