"""Worker: the shipped tasks in a real Celery worker over RabbitMQ, Redis and MinIO."""

import io
import os
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pypdfium2
import pytest
import skops.io
from botocore.config import Config
from celery import Celery
from PIL import Image

from resultstore import Artifact, BadInput, Settings, State, Store
from resultstore.backends.celery import store_of
from resultstore.model import layout
from resultstore_tasks import samples
from resultstore_tasks.app import make_app
from tests.tasks.videos.films import BT709, X264, bars, film, turned

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def settings(redis_url, amqp_url, s3_server) -> Iterator[Settings]:
    """Set the worker's variables in this process too, with a bucket of its own."""
    credentials = {"aws_access_key_id": s3_server.access_key, "aws_secret_access_key": s3_server.secret_key}
    s3 = boto3.resource(
        "s3",
        endpoint_url=s3_server.endpoint,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
        **credentials,
    )
    bucket = s3.create_bucket(Bucket=f"test-{uuid.uuid4().hex}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in credentials.items():
            patch.setenv(name.upper(), value)
        patch.setenv("RESULTSTORE_INDEX_URL", redis_url)
        patch.setenv("RESULTSTORE_BROKER_URL", amqp_url)
        patch.setenv("RESULTSTORE_BLOBS_URL", f"s3://{bucket.name}/root")
        patch.setenv("RESULTSTORE_S3_ENDPOINT", s3_server.endpoint)
        patch.setenv("RESULTSTORE_SECRET_KEY", "k" * 32)
        yield Settings()
    bucket.objects.all().delete()
    bucket.delete()


@pytest.fixture(scope="module")
def app(settings) -> Celery:
    """Return the app of a client, with a queue of its own."""
    made = make_app(settings)
    made.conf.task_default_queue = f"queue-{uuid.uuid4().hex}"
    return made


@pytest.fixture(scope="module")
def store(app) -> Store:
    return store_of(app)


@pytest.fixture(scope="module", autouse=True)
def worker(app, store) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker as users start it."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "resultstore_tasks.app",
        "worker",
        "--queues",
        app.conf.task_default_queue,
    ]
    options = ["--concurrency", "2", "--without-mingle", "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, *options], cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)
            with app.connection_for_write() as connection:
                connection.default_channel.queue_delete(app.conf.task_default_queue)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8_000:])


def fetched(store: Store, artifact: Artifact) -> bytes:
    with urllib.request.urlopen(store.url(artifact)) as answer:
        return answer.read()


def test_a_photo_becomes_copies_that_a_url_fetches(app, store):
    photo = samples.photos()[0]
    source = store.put(photo.content, name=photo.file_name)

    sent = app.send_task("images.resize", (source,), {"widths": [400, 100], "format": "avif"})
    copies = sent.get(timeout=60)

    assert [one.name for one in copies] == ["china-400.avif", "china-100.avif"]
    for one in copies:
        image = Image.open(io.BytesIO(fetched(store, one)))
        assert image.size == (one.metadata["width"], one.metadata["height"])
    found = store.load(sent.id)
    made = list(found.artifacts)  # in the order in which they became visible
    assert (found.state, found.sealed, made) == (State.SUCCESS, True, copies[::-1])


def test_a_table_becomes_a_report(app, store):
    source = store.put(samples.wine().content, name="wine.csv")

    report = app.send_task("pdf.report", (source,), {"title": "Italian wines"}).get(timeout=60)

    assert (report.name, report.media_type) == ("wine.pdf", "application/pdf")
    assert report.metadata == {"rows": 178, "columns": 14, "pages": 8}
    assert len(pypdfium2.PdfDocument(fetched(store, report))) == 8
    cover = store.load(report.id).artifact("wine-cover.jpg")
    assert Image.open(io.BytesIO(fetched(store, cover))).size == (800, cover.metadata["height"])
    assert (cover.metadata["role"], cover.metadata["pages"]) == ("cover", 8)


def test_training_gives_a_model_and_reports_folds(app, store):
    source = store.put(samples.wine().content, name="wine.csv")
    task_id = str(uuid.uuid4())

    notes: set[str] = set()
    with store.index.events.watch(task_id) as watch:
        sent = app.send_task("models.train", (source,), {"target": "cultivar", "kind": "forest"}, task_id=task_id)
        while (event := watch.wait(30)) is not None and event.state not in {State.SUCCESS, State.FAILURE}:
            notes.add(event.progress.note if event.progress else "")
    model, metrics = sent.get(timeout=30)

    assert any(note.startswith("fold") for note in notes)
    assert (model.name, metrics.name) == ("wine-forest.skops", "metrics.json")
    assert (model.file_name, metrics.file_name) == ("wine-forest.skops", "wine-forest-metrics.json")
    assert model.metadata["accuracy"] > 0.9
    loaded = skops.io.loads(fetched(store, model), trusted=["sklearn.tree._tree.Tree"])
    assert set(loaded.classes_) == {"class_0", "class_1", "class_2"}


def test_phone_video_gives_poster_and_preview(app, store, tmp_path):
    longer = ("-vf", "tpad=stop_mode=clone:stop_duration=1")  # 2 s
    flat = film(tmp_path / "flat.3gp", bars(320, 180), *X264, *BT709, *longer, "-f", "3gp", matrix="bt709")
    upright = turned(flat.read_bytes(), (0, 1, -1, 0))
    source = store.put(upright, name="holiday.3gp")

    options = {"width": 90, "seconds": 1, "format": "webm"}
    poster, preview = app.send_task("video.preview", (source,), options).get(timeout=60)

    assert [(one.name, one.media_type) for one in (poster, preview)] == [
        ("holiday-poster.jpg", "image/jpeg"),
        ("holiday-preview.webm", "video/webm"),
    ]
    of_source = {"source_width": 180, "source_height": 320, "source_duration_s": 2.0, "source_codec": "h264"}
    assert poster.metadata == {"width": 90, "height": 160, **of_source}
    lasts_s = preview.metadata["duration_s"]
    assert preview.metadata == {"width": 90, "height": 160, "duration_s": lasts_s, "codec": "vp8", **of_source}
    assert 0.9 < lasts_s < 1.2
    assert Image.open(io.BytesIO(fetched(store, poster))).size == (90, 160)
    assert fetched(store, preview).startswith(b"\x1aE\xdf\xa3")


def test_a_table_becomes_parquet(app, store):
    source = store.put(samples.digits().content, name="digits.csv")

    table = app.send_task("tables.convert", (source,)).get(timeout=60)

    assert (table.name, table.metadata["rows"], table.metadata["columns"]) == ("digits.parquet", 1797, 65)
    assert pq.read_table(io.BytesIO(fetched(store, table))).num_rows == 1797


def test_example_gives_the_same_without_upload(app, store):
    source = store.put(samples.wine().content, name="wine.csv")
    report = app.send_task("pdf.report", (source,), {"title": "The same"}).get(timeout=60)

    example = app.send_task("examples.report", (), {"title": "The same"}).get(timeout=60)
    trained = app.send_task("examples.train", (), {"table": "wine"}).get(timeout=60)

    assert (example.sha256, example.metadata) == (report.sha256, report.metadata)
    assert [one.name for one in trained] == ["wine-logistic.skops", "wine-logistic.safetensors", "metrics.json"]
    assert trained[0].metadata["accuracy"] > 0.9


CHINA = samples.photos()[0].content
BAD = {
    "cut.jpg": ("images.resize", CHINA[:100_000], "damaged or cut short"),
    "empty.jpg": ("images.resize", b"", "the file is empty"),
    "eps.jpg": ("images.resize", b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    "junk.csv": ("pdf.report", b"\0" * 5000, "binary"),
    "ragged.csv": ("tables.convert", b"a,b\n" + b"1,2\n" * 9 + b"3,4,5\n", "row 11 has 3 columns"),
    "late.csv": ("tables.convert", b"a,b\n" + b"1,2\n" * 3_000_000 + b"x,2,3\n", "row 3000002 has 3 columns"),
}


@pytest.mark.parametrize("name", [*BAD, "bomb.png"])
def test_bad_input_fails_with_reason_and_no_seal(app, store, bomb, name):
    task, content, reason = BAD.get(name, ("images.resize", bomb, "3,600 megapixels"))
    source = store.put(content, name=name)

    sent = app.send_task(task, (source,))
    with pytest.raises(BadInput) as failed:
        sent.get(timeout=60)

    assert f"{name!r} of {source.id}: " in str(failed.value)
    assert reason in str(failed.value)
    found = store.load(sent.id)
    assert (found.state, found.sealed, found.artifacts) == (State.FAILURE, False, ())
    assert not list(store.blobs.list(layout.seal_key(sent.id)))
    assert not list(store.blobs.list(f"blobs/30d/{layout.shard(sent.id)}/{sent.id}/"))


def test_unknown_target_fails_with_existing_columns(app, store):
    source = store.put(b"x,y\n" + b"1,2\n" * 9, name="xy.csv")

    with pytest.raises(BadInput, match=r"'xy.csv' of .*: it has no column 'z' to predict; its columns are: x, y"):
        app.send_task("models.train", (source,), {"target": "z"}).get(timeout=60)


def test_unknown_argument_fails_with_allowed_ones(app, store):
    source = store.put(CHINA, name="china.jpg")

    with pytest.raises(BadInput, match="'size': Unexpected keyword argument; it takes: source, widths, format"):
        app.send_task("images.resize", (source,), {"size": 3}).get(timeout=60)


def test_libvips_is_loaded_in_children_only(app, store, worker):
    app.send_task("images.resize", (store.put(CHINA, name="china.jpg"),)).get(timeout=60)
    children = [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]

    if os.geteuid() == 0:
        assert "libvips" not in Path(f"/proc/{worker.pid}/maps").read_text()
        assert any("libvips" in Path(f"/proc/{child}/maps").read_text() for child in children)
    else:  # a worker hides itself from its user's other processes
        with pytest.raises(PermissionError):
            Path(f"/proc/{worker.pid}/maps").read_text()
    load = "from resultstore_tasks.app import app; app.loader.import_default_modules()"
    seen = f"{load}; print(open('/proc/self/maps').read())"
    loaded = subprocess.run([sys.executable, "-c", seen], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "libvips" not in loaded.stdout


def test_any_file_is_stored_as_it_is(app, store):
    photo = samples.photos()[0]
    files = {"a.bin": b"\0\1\2" * 1000, "broken.jpg": photo.content[:9_000], photo.file_name: photo.content}

    kept = {}
    for name, content in files.items():
        source = store.put(content, name=name)
        kept[name] = app.send_task("files.store_only", (source,)).get(timeout=60)

    assert [[one.name for one in made] for made in kept.values()] == [
        ["a.bin"],
        ["broken.jpg"],
        ["china.jpg", "china-preview.webp"],
    ]
    for name, (copy, *_) in kept.items():
        assert fetched(store, copy) == files[name]
    preview = kept["china.jpg"][1]
    assert preview.metadata == {"role": "preview", "width": 640, "height": 427}
    assert Image.open(io.BytesIO(fetched(store, preview))).size == (640, 427)
