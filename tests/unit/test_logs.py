"""Logs: no line lets its reader do what only a URL's holder may."""

import json
import logging
import subprocess
import sys

import pytest

from resultstore.logs import cut_secrets

PROGRAM = """
import logging, structlog
from resultstore.logs import configure_logs
configure_logs(json=True)
structlog.get_logger().info("ours", url="http://h/k?expires=1&signature=s3cret")
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
    ],
)
def test_signatures_and_passwords_are_cut_and_the_rest_stays(text, cut):
    assert cut_secrets(text) == cut


def test_every_line_of_ours_and_of_libraries_is_json_without_secrets():
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)

    lines = [json.loads(line) for line in told.stderr.splitlines()]
    assert [line["event"] for line in lines][:1] == ["ours"]
    assert len(lines) == 3
    assert "s3cret" not in told.stderr
    assert told.stdout == ""


def test_logging_of_libraries_begins_at_warnings():
    assert logging.getLogger("botocore").getEffectiveLevel() >= logging.WARNING
