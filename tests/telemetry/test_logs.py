"""Logs: no line contains a signature, a token or a password."""

import json
import logging
import re
import subprocess
import sys

import pytest

from resultstore.telemetry.logs import Log
from resultstore.telemetry.redaction import cut_secrets, redact

PROGRAM = """
import logging, structlog
from resultstore.telemetry.logs import Log, configure_logs
configure_logs(json=True)
structlog.get_logger().info("ours", url="http://h/k?expires=1&signature=s3cret")
Log("resultstore.store").info("below", url="http://h/k?expires=1&signature=s3cret", id="one")
logging.getLogger("theirs").warning("GET %s", "https://u:s3cret@h/k?X-Amz-Signature=s3cret&x=1")
try:
    raise ValueError("redis://:s3cret@h:6379/0 is away")
except ValueError:
    logging.getLogger("theirs").exception("failed")
"""


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("http://h/k?type=a&signature=abc", "http://h/k?type=a&signature=***"),
        ("http://h/k?X-Amz-Signature=abc&X-Amz-Date=1", "http://h/k?X-Amz-Signature=***&X-Amz-Date=1"),
        ("/k?x-amz-security-token=abc", "/k?x-amz-security-token=***"),
        ("redis://:abc@h:1/0", "redis://:***@h:1/0"),
        ("amqp://guest:abc@h:1//", "amqp://guest:***@h:1//"),
        ("nothing secret: a@b", "nothing secret: a@b"),
        ("http://h/?next=http%3A%2F%2Fk%3FX-Amz-Signature%3Dabc%26a%3D1", None),
        ("{'X-Amz-Signature': 'abc', 'a': 1}", "{'X-Amz-Signature': '***', 'a': 1}"),
        ('{"x-amz-security-token": "abc"}', '{"x-amz-security-token": "***"}'),
        ('a nested \\"X-Amz-Credential\\": \\"abc\\"', None),
        ("webhook-signature: v1,abc=", "webhook-signature: ***"),
        ("whsec_abc+/=", "whsec_***"),
        ("the token rst_abc-_9 is out", "the token rst_*** is out"),
        ("Authorization: Bearer abc.def-g", "Authorization: Bearer ***"),
        ("authorization: basic YWJj", "authorization: basic ***"),
        ("AWS4-HMAC-SHA256 Credential=abc/20260101, SignedHeaders=host, Signature=abc", "AWS4-HMAC-SHA256 ***"),
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmMifQ.abc b", "a *** b"),
        ("the signature of x is wrong", "the signature of x is wrong"),
        ("9f86d081884c7d659a2feaa0c55ad015 SUCCESS", "9f86d081884c7d659a2feaa0c55ad015 SUCCESS"),
    ],
)
def test_only_signatures_and_passwords_are_cut(text, cut):
    assert cut_secrets(text) == cut if cut else "abc" not in cut_secrets(text)


def test_every_log_line_is_json_without_secrets():
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)

    lines = [json.loads(line) for line in told.stderr.splitlines()]
    assert [line["event"] for line in lines][:2] == ["ours", "below"]
    assert lines[1]["id"] == "one"
    assert len(lines) == 4
    assert "s3cret" not in told.stderr
    assert told.stdout == ""


def test_the_library_logs_through_standard_logging(caplog):
    caplog.set_level(logging.WARNING)
    Log("resultstore.store.lookup").warning("seal_not_read", id="one", error="http://h/k?signature=s3cret")

    assert caplog.record_tuples == [
        ("resultstore.store.lookup", logging.WARNING, "seal_not_read id='one' error='http://h/k?signature=***'")
    ]


class Secretive:
    def __repr__(self):
        return "Secretive(url='http://h/?X-Amz-Signature=s3cret')"


@pytest.mark.parametrize(
    "value",
    [
        "http://h/?signature=s3cret",
        b"http://h/?signature=s3cret",
        {"headers": [("x", "Bearer s3cret")], "http://h/?signature=s3cret": 1},
        [{"deep": {"deeper": ("whsec_s3cret",)}}],
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": "Bearer s3cret"}}}}}}}},
        ValueError("http://h/?X-Amz-Security-Token=s3cret"),
        Secretive(),
        {"authorization": "s3cret", "Cookie": "s3cret", "webhook_secret": "s3cret", "password": ["s3cret"]},
    ],
    ids=repr,
)
def test_secrets_are_cut_from_every_type_of_value(value):
    line = redact(None, "info", {"event": "e", "value": value, "secret_key": "s3cret", "count": 3})
    assert "s3cret" not in json.dumps(line)
    assert line["count"] == 3
    assert line["secret_key"] == "***"


def test_libraries_log_from_warning_level():
    assert logging.getLogger("botocore").getEffectiveLevel() >= logging.WARNING


CONTROLS = """
import logging, structlog
from celery import Celery
from resultstore.backends.celery import escape_worker_logs
from resultstore.telemetry.logs import Log, configure_logs
{setup}
hostile = "a" + chr(27) + "[31m" + chr(0x9b) + "2J" + chr(0x202e) + chr(13) + "b"
{ours}
Log("resultstore.store").info("below", task=hostile, forged="x\\ny")
logging.getLogger("celery.task").warning("task %s", hostile)
try:
    raise ValueError(hostile)
except ValueError:
    logging.getLogger("theirs").exception("failed")
"""
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
WORKER = """
escape_worker_logs()
Celery(set_as_current=False).log.setup(loglevel="INFO", redirect_stdouts=False, colorize=False)
"""


@pytest.mark.parametrize("setup", ["configure_logs(json=False)", "configure_logs(json=True)", WORKER])
def test_no_line_controls_a_terminal(setup):
    ours = "" if setup is WORKER else 'structlog.get_logger().info("ours", task=hostile)'
    program = CONTROLS.format(setup=setup, ours=ours)
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    lines = told.stderr.decode().splitlines()
    assert sum("[31m" in line for line in lines) >= 3
    assert [line for line in lines if OBEYED.search(line)] == []
    assert not [line for line in lines if line.startswith("y")]
