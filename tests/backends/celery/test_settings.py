"""Settings: what Celery's settings and the backend's URL do here."""

import pickle
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.result import AsyncResult
from celery.utils.objects import Bunch

from resultstore.backends.celery import retry, urls
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable, Misconfigured
from tests.backends.celery.conftest import Made
from tests.index.redis.conftest import PrivateRedis

DAY_S = 86_400


def request(task_id: str, **more: object) -> Context:
    return Context(id=task_id, task="tasks.add", hostname="w@host", retries=2, children=[], **more)


def sent(raw: redis.Redis) -> dict[str, int]:
    """How often which command was sent; scripts count as one."""
    inside = {"set", "publish", "getrange", "unlink"}
    calls = {name.removeprefix("cmdstat_"): told["calls"] for name, told in raw.info("commandstats").items()}
    return {
        name: count for name, count in calls.items() if name not in inside | {"info", "config|resetstat", "flushall"}
    }


@pytest.mark.parametrize("compression", ["gzip", "bzip2"])
def test_compressed_value_is_read_without_the_setting(made: Made, task_id: str, raw: redis.Redis, compression: str):
    made(result_compression=compression).backend.store_result(task_id, "v" * 10_000, states.SUCCESS)
    assert raw.strlen(layout.beside_key(task_id)) < 1_000
    assert made().AsyncResult(task_id).get(timeout=5) == "v" * 10_000


def test_pickle_is_refused_with_the_reason(made: Made):
    with pytest.raises(Misconfigured, match="run code"):
        made(result_serializer="pickle").backend  # noqa: B018 - it is made at first use


@pytest.mark.parametrize(
    ("expires", "life_s"), [(60, 60), (timedelta(minutes=2), 120), (None, None), (0, None), ("default", DAY_S)]
)
def test_results_live_as_long_as_result_expires_says(made: Made, task_id: str, raw: redis.Redis, expires, life_s):
    app = made() if expires == "default" else made(result_expires=expires)
    app.backend.store_result(task_id, "v" * 1000, states.SUCCESS)
    app.GroupResult(task_id, [app.AsyncResult(task_id)]).save()
    for key in (layout.record_key(task_id), layout.beside_key(task_id), layout.group_key(task_id)):
        assert raw.ttl(key) == -1 if life_s is None else life_s - 5 <= raw.ttl(key) <= life_s


def test_failures_live_for_result_failure_expires(made: Made, task_id: str, raw: redis.Redis):
    app = made(result_expires=60, result_failure_expires=600)
    app.backend.mark_as_failure(task_id, ValueError("kept"))
    assert 500 < raw.ttl(layout.record_key(task_id)) <= 600


def test_header_task_lives_as_long_as_its_chord(made: Made, task_id: str, raw: redis.Redis):
    app = made(result_expires=60, result_chord_expires=600)
    app.backend.store_result(task_id, 1, states.SUCCESS, request=request(task_id, chord={"task": "body"}))
    assert 500 < raw.ttl(layout.record_key(task_id)) <= 600


def test_cache_size_follows_result_cache_max(made: Made, raw: redis.Redis):
    app = made(result_cache_max=2)
    ids = [uuid.uuid4().hex for _ in range(3)]
    for one in ids:
        app.backend.store_result(one, 1, states.SUCCESS)
        assert app.AsyncResult(one).result == 1
    raw.config_resetstat()
    for one in reversed(ids):
        assert app.AsyncResult(one).result == 1
    assert sent(raw) == {"get": 1}


def test_prefix_is_before_all_keys(made: Made, task_id: str, raw: redis.Redis):
    app = made(result_backend_transport_options={"global_keyprefix": "shop"})
    app.backend.store_result(task_id, 1, states.SUCCESS)
    app.GroupResult(task_id, [app.AsyncResult(task_id)]).save()
    assert {key.decode() for key in raw.scan_iter()} == {
        f"shop_{layout.record_key(task_id)}",
        f"shop_{layout.group_key(task_id)}",
    }
    assert app.AsyncResult(task_id).get(timeout=5) == 1
    assert raw.exists(app.backend.get_key_for_task(task_id), app.backend.get_key_for_group(task_id)) == 2


def test_warns_once_that_large_values_stay_in_redis(made: Made, task_id: str):
    app = made()
    with pytest.warns(UserWarning, match="RESULTSTORE_BLOBS_URL") as warned:
        app.backend.store_result(task_id, "v" * 1_000_000, states.SUCCESS)
    assert len(warned) == 1
    assert app.AsyncResult(task_id).get(timeout=5) == "v" * 1_000_000


def test_error_names_the_missing_object_store_setting(made: Made, task_id: str, tmp_path: Path, raw: redis.Redis):
    made(f"?blobs=file://{tmp_path}").backend.store_result(task_id, "v" * 100_000, states.SUCCESS)
    assert sum(raw.memory_usage(key) for key in raw.scan_iter()) < 1_000

    assert made(f"?blobs=file://{tmp_path}").AsyncResult(task_id).get(timeout=5) == "v" * 100_000
    without = made().AsyncResult(task_id)
    assert without.state == "SUCCESS"
    with pytest.raises(Misconfigured, match="RESULTSTORE_BLOBS_URL"):
        without.result  # noqa: B018 - it is read now


def test_sent_task_has_a_pending_record(made: Made, task_id: str, tmp_path: Path):
    app = made(f"?blobs=file://{tmp_path}")
    app.send_task("any", task_id=task_id)
    end = time.monotonic() + 5
    while not app.backend.task_result_exists(task_id):  # the sender did not wait for Redis
        assert time.monotonic() < end
    assert app.AsyncResult(task_id).state == "PENDING"


def test_settings_may_be_in_the_app(server: PrivateRedis, tmp_path: Path):
    conf = {
        "resultstore_blobs_url": f"file://{tmp_path}",
        "resultstore_inline_max_bytes": 7,
        "result_backend_transport_options": {"retention": "7d"},
    }
    settings = urls.read_servers(server.url, conf).settings
    assert settings.blobs.url == f"file://{tmp_path}"
    assert (settings.results.inline_max_bytes, settings.results.retention) == (7, "7d")


def test_a_backend_shows_no_secret_and_survives_pickling(made: Made, server: PrivateRedis, task_id: str):
    app = Celery(
        "client", broker="memory://", backend="resultstore+redis://ann:s3cr3t@h:1/2?blobs=s3://b&password=s3cr3t"
    )
    assert app.backend.as_uri() == "resultstore+redis://ann:**@h:1/2"
    assert "s3cr3t" in app.backend.as_uri(include_password=True)

    app = made()
    app.set_current()
    app.backend.store_result(task_id, 3, states.SUCCESS)
    copy = pickle.loads(pickle.dumps(app.backend))
    assert copy.url == app.backend.url == server.url
    assert AsyncResult(task_id, backend=copy, app=app).get(timeout=5) == 3


def test_always_retry_is_finite_and_jittered(made: Made, monkeypatch: pytest.MonkeyPatch):
    app = made(result_backend_always_retry=True, result_backend_max_retries=float("inf"))
    assert app.backend.max_retries == retry.MAX_RETRIES
    assert made(result_backend_max_retries=3).backend.max_retries == 3


def test_worker_banner_names_resultstore(server: PrivateRedis):
    # In a process of its own: Celery forbids `get` in one that has made a worker.
    shows = "import sys, celery; print(celery.Celery('a', backend=sys.argv[1]).Worker(hostname='w@h').startup_info())"
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", shows, f"resultstore+{server.url}"],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    assert "resultstore+redis://" in said.stdout


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns", None])
def test_date_done_is_in_the_apps_timezone(made: Made, task_id: str, zone: str | None):
    app = made(timezone=zone)
    app.backend.store_result(task_id, 1, states.SUCCESS)
    done = app.AsyncResult(task_id).date_done
    assert done.utcoffset() == app.now().utcoffset()
    assert abs((app.now() - done).total_seconds()) < 3_600


def test_client_does_not_outwait_an_absent_redis(made: Made, monkeypatch: pytest.MonkeyPatch):
    app, tries = made(), []
    monkeypatch.setattr(app.backend.store.index, "save", partial(_away, tries))
    with pytest.raises(app.backend.connection_errors):
        app.backend.store_result("by-a-client", 1, states.SUCCESS)
    assert len(tries) == 1


@pytest.mark.parametrize(
    "of_a_worker",
    [request("by-a-worker", called_directly=False), Bunch(id="by-a-worker", chord=None, root_id=None)],
    ids=["running", "unreadable"],
)
def test_worker_outwaits_an_absent_redis(made: Made, monkeypatch: pytest.MonkeyPatch, of_a_worker: object):
    app, tries = made(), []
    monkeypatch.setattr(app.backend.store.index, "save", partial(_away, tries))
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(IndexUnavailable):
        app.backend.store_result("by-a-worker", 1, states.SUCCESS, request=of_a_worker)
    assert len(tries) == 1 + retry.MAX_RETRIES


def test_client_waits_as_its_own_policy_says(made: Made, monkeypatch: pytest.MonkeyPatch):
    policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    app, tries = made(result_backend_transport_options={"retry_policy": policy}), []
    monkeypatch.setattr(app.backend.store.index, "save", partial(_away, tries))
    with pytest.raises(IndexUnavailable):
        app.backend.store_result("by-a-client", 1, states.SUCCESS)
    assert len(tries) == 3


@pytest.mark.parametrize(("longest_s", "most_s"), [(0, 0), (0.5, 0.5), (None, 1)])
def test_longest_pause_of_zero_is_no_pause(longest_s: float | None, most_s: float, monkeypatch: pytest.MonkeyPatch):
    policy = {"max_retries": 4, "interval_start": 0, "interval_step": 5, "interval_max": longest_s}
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("random.uniform", lambda _, most: most)

    with pytest.raises(IndexUnavailable):
        retry.with_retries(partial(_away, []), policy=policy)

    assert pauses == [0, most_s, most_s, most_s]


def _away(tries: list[object], result: object = None, **_: object) -> bool:
    tries.append(result)
    raise IndexUnavailable("away")
