"""Matrix: the runs of the suite, each a backend with its settings, and the parts that a run consists of."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

BUCKET = "conformance"
CONTROL = "control-redis"
# Celery's suite asks for a result backend whose name begins with `redis` before 131 of its tests.
BACKENDS = ("resultstore", "redisresultstore")
INLINE = {"default": {}, "inline0": {"RESULTSTORE_INLINE_MAX_BYTES": "0"}}
WAYS = ("url", "setup")

# Tests of Celery's Azure backend alone, and it asks for Azure's libraries before it would skip them.
LEFT_OUT = frozenset({"test_backend"})

# Upstream lists this one as an expected failure. Alone, so that `--runxfail` is for no other test.
LEAK_PART = "channels_leak"
LEAK_TEST = "test_canvas.py::test_chord::test_redis_subscribed_channels_leak"
# Unit tests through a subclass: no server, and the same in each run. Outside pytest's root, so it names no file.
SETTINGS_PART = "redis_settings"
SETTINGS_FILE = "redis_settings.py"
LONG_PARTS = {"test_canvas": 3600}
PART_LIMIT_S = 900

# What fits into CI: almost all of a test's time is sleep, and these sleep longest. Names are prefixes.
CI_RUNS = ("redisresultstore-inline0-setup", "dramatiq-inline0-capture")
CI_PARTS = ("test_redis_backend", "test_canvas", LEAK_PART, SETTINGS_PART)
CI_TOO_SLOW = (
    "test_chain::test_chain_child_with",
    "test_chain::test_chain_children",
    "test_chain::test_chain_error_handler_with_eta",
    "test_chain::test_chain_with_c",
    "test_chain::test_chain_with_e",
    "test_chain::test_chaining_upgraded_chords",
    "test_chain::test_parent_ids",
    "test_chord::test_chain_to_a_chord_with_large_header",
    "test_chord::test_disabling_flag_allow_error_cb_on_chord_header",
    "test_chord::test_enabling_flag_allow_error_cb_on_chord_header",
    "test_chord::test_flag_allow_error_cb_on_chord_header_on_upgraded_chord",
    "test_chord::test_generator",
    "test_chord::test_immutable_errback_called_by_chord_from_group_fail_multiple",
    "test_chord::test_large_header",
    "test_chord::test_mutable_errback_called_by_chord_from_",
    "test_chord::test_nested_chord_header_link_error",
    "test_chord::test_parent_ids",
    "test_group::test_errback_called_by_group_fail_multiple",
    "test_group::test_group_child_with",
    "test_group::test_group_children",
    "test_group::test_group_with_callback",
    "test_group::test_group_with_errback",
    "test_group::test_large_group",
    "test_group::test_mutable_errback_called_by_group",
    "test_group::test_parent_ids",
    "test_result_set::",
)


@dataclass(frozen=True)
class Run:
    """One way to run the suite: `backend` is the part before the plus of the result backend's URL."""

    name: str
    backend: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """What one process runs: a module, one class of it, or the leak test alone."""

    name: str
    pytest_args: Sequence[str]
    limit_s: int = PART_LIMIT_S


def runs() -> dict[str, Run]:
    """All runs by name; the control run, over Celery's own backend, is there to be asked for."""
    ours = [
        Run(f"{backend}-{inline}-{way}", backend, {**env, "CONFORMANCE_SETUP": "1" if way == "setup" else ""})
        for backend in BACKENDS
        for inline, env in INLINE.items()
        for way in WAYS
    ]
    return {run.name: run for run in [*ours, Run(CONTROL, "", {})]}


def parts(suite: Path) -> dict[str, Part]:
    """Return all parts by name, in the order of the modules' names. The classes are there to be asked for."""
    leak = Part(LEAK_PART, [f"t/integration/{LEAK_TEST}", "--runxfail"])
    unit = ["-p", "t.unit.conftest", str(Path(__file__).with_name(SETTINGS_FILE))]
    alone = {LEAK_PART: leak, SETTINGS_PART: Part(SETTINGS_PART, unit)}
    return {file.stem: _module(file) for file in _files(suite)} | alone


def classes(suite: Path) -> dict[str, Part]:
    """The test classes of all modules, each as a part of its own."""
    found = {}
    for file in _files(suite):
        for name in re.findall(r"(?m)^class (test_\w+)", file.read_text()):
            module = _module(file)
            found[name] = Part(name, [f"{module.pytest_args[0]}::{name}", *module.pytest_args[1:]], module.limit_s)
    return found


def hurried(run: Run) -> Run:
    """The run without a pause that the suite makes for more than one worker, which it does not have."""
    return replace(run, env={**run.env, "CONFORMANCE_HURRY": "1"})


def without_slow(part: Part) -> Part:
    """The part without the tests that are too slow for CI."""
    leave_out = [f"--deselect=t/integration/test_canvas.py::{test}" for test in CI_TOO_SLOW]
    return replace(part, pytest_args=[*part.pytest_args, *leave_out])


def environment(run: Run, servers: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the servers for the suite, its Redis helper and resultstore's settings."""
    redis_url = servers["RS_TEST_REDIS_URL"]
    redis = urlsplit(redis_url)
    return {
        "TEST_BROKER": servers["RS_TEST_AMQP_URL"],
        "TEST_BACKEND": f"{run.backend}+{redis_url}" if run.backend else redis_url,
        "WORKER_LOGLEVEL": "INFO",  # as in Celery's tox.ini: some tests read the worker's log
        "REDIS_HOST": redis.hostname or "",
        "REDIS_PORT": str(redis.port),
        "CONFORMANCE_REDIS_PASSWORD": redis.password or "",
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_BLOBS_URL": f"s3://{BUCKET}/{run.name}",
        "RESULTSTORE_S3_ENDPOINT": servers["RS_TEST_S3_ENDPOINT"],
        "AWS_ACCESS_KEY_ID": servers["RS_TEST_S3_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": servers["RS_TEST_S3_SECRET_KEY"],
        "AWS_REGION": "us-east-1",
        **run.env,
    }


def make_bucket(servers: Mapping[str, str]) -> None:
    """Create the bucket of all runs. One that is there already is used."""
    s3 = boto3.resource(
        "s3",
        endpoint_url=servers["RS_TEST_S3_ENDPOINT"],
        aws_access_key_id=servers["RS_TEST_S3_ACCESS_KEY"],
        aws_secret_access_key=servers["RS_TEST_S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    with suppress(s3.meta.client.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET)


def _files(suite: Path) -> list[Path]:
    found = [file for file in sorted((suite / "t/integration").glob("test_*.py")) if file.stem not in LEFT_OUT]
    return [file for file in found if re.search(r"(?m)^ *(async )?def test_", file.read_text())]  # one is empty


def _module(file: Path) -> Part:
    path = f"t/integration/{file.name}"
    leave_out = [f"--deselect=t/integration/{LEAK_TEST}"] if LEAK_TEST.startswith(f"{file.name}::") else []
    return Part(file.stem, [path, *leave_out], LONG_PARTS.get(file.stem, PART_LIMIT_S))
