"""Arguments: a wrong call is refused before a byte is read, and the message says what is allowed."""

from unittest.mock import MagicMock

import pytest

from resultstore import Artifact, BadInput
from resultstore_tasks.arguments import check_size, naming
from resultstore_tasks.images.offer import RESIZE, Resize
from resultstore_tasks.images.task import resize
from resultstore_tasks.models.task import train
from resultstore_tasks.report.task import report
from resultstore_tasks.tables.task import convert

SOURCE = Artifact(
    id="7f3a",
    name="cat.jpg",
    file_name="cat.jpg",
    key="blobs/30d/00/7f3a/" + "0" * 32 + ".0",
    etag="e",
    size_bytes=10,
    media_type="image/jpeg",
    sha256="0" * 64,
    stored_bytes=10,
)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (resize, {"size": 3}, r"'size': Unexpected keyword argument; it takes: source, widths, format"),
        (resize, {"format": "bmp"}, "'format': Input should be 'webp', 'jpeg' or 'avif'"),
        (resize, {"widths": [0]}, "'widths.0': Input should be greater than or equal to 1"),
        (resize, {"widths": [10**9]}, "'widths.0': Input should be less than or equal to 8192"),
        (resize, {"widths": ["800"]}, "'widths.0': Input should be a valid integer"),
        (resize, {"widths": []}, "'widths'"),
        (resize, {"widths": [1] * 13}, "'widths'"),
        (report, {"titel": "x"}, "'titel': Unexpected keyword argument; it takes: source, title"),
        (report, {"title": "x" * 121}, "'title'"),
        (train, {}, "'target': Missing required argument; it takes: source, target, kind"),
        (train, {"target": "y", "kind": "magic"}, "'kind': Input should be 'logistic' or 'forest'"),
        (convert, {"format": "orc"}, "'format': Input should be 'parquet'"),
        (convert, {"types": {"a": "int"}}, "'types.a': Input should be 'string', 'int64'"),
    ],
)
def test_wrong_argument_is_named_with_what_is_allowed(task, arguments, message):
    with pytest.raises(BadInput, match=message) as refused:
        task(source=SOURCE, **arguments)
    assert str(refused.value).startswith(f"{task.name} was called wrongly")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((SOURCE, [800], "webp", 1), "'3': Unexpected positional argument"),
        ((SOURCE, [0]), "'widths.0': Input should be greater than or equal to 1"),
    ],
)
def test_wrong_positional_argument_is_refused(given, message):
    with pytest.raises(BadInput, match=message):
        resize(*given)


def test_task_receives_options_by_position_and_name(monkeypatch):
    received = []
    monkeypatch.setattr("resultstore_tasks.images.task.check_size", lambda *_: None)
    monkeypatch.setattr("resultstore_tasks.images.task.store_of", lambda _: MagicMock())
    monkeypatch.setattr("resultstore_tasks.images.task._keep_copies", lambda *given: received.append(given[-1]))
    resize(SOURCE, [800], format="avif")
    resize(SOURCE)
    assert received == [Resize(widths=[800], format="avif"), Resize(widths=[1600, 800, 200], format="webp")]


def test_source_that_is_no_artifact_is_refused():
    with pytest.raises(BadInput, match=r"'source': .*an Artifact is needed, not a str"):
        resize("cat.jpg")


def test_reason_names_the_input_that_it_is_about():
    with pytest.raises(BadInput, match=r"^image 'cat.jpg' of 7f3a: it is green$"), naming("image", SOURCE):
        raise BadInput("it is green")


def test_source_over_the_cap_is_refused_unread():
    with pytest.raises(BadInput, match="over the cap"):
        check_size(Artifact(**{**_fields(SOURCE), "size_bytes": RESIZE.max_bytes + 1}), RESIZE)


def _fields(artifact: Artifact) -> dict[str, object]:
    return {name: getattr(artifact, name) for name in artifact.__struct_fields__}
