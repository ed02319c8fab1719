"""doctor on a Redis with ACL users of too few rights, or of those in docs/how-to/deploy.md."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from resultstore.ops.index_rights import RIGHTS
from tests.uploads.telling import until

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/deploy.md"
[RULE] = re.findall(r"^ACL SETUSER resultstore on >password (.+)$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture
def user(redis_url) -> Iterator[Callable[[str], str]]:
    """Make a user with such a rule; the URL to come in by."""
    client, place = redis.Redis.from_url(redis_url), urlsplit(redis_url)
    name = f"doctor{secrets.token_hex(4)}"

    def make(rule: str) -> str:
        client.execute_command("ACL", "SETUSER", name, "reset", "on", ">pw", *rule.split())
        return f"redis://{name}:pw@{place.hostname}:{place.port}/0"

    yield make
    client.execute_command("ACL", "DELUSER", name)
    client.close()


@pytest.fixture
def finding(run) -> Callable[[str], dict]:
    """What doctor says of such an index."""

    def finding(url: str) -> dict:
        done = run("doctor", "--json", RESULTSTORE_INDEX_URL=url)
        [found] = [one for one in done.told if one["name"] == "index"]
        assert done.code == (1 if found["verdict"] == "wrong" else 0)
        return found

    return finding


@pytest.mark.parametrize("rule", ["allkeys resetchannels +@all -@dangerous", "allkeys &other:* +@all"])
def test_a_user_without_channels_is_found(user, finding, rule):
    found = finding(user(rule))

    assert found["verdict"] == "wrong"
    assert "announcements do not arrive" in found["text"]
    assert "&rs:*" in found["remedy"]


@pytest.mark.parametrize("missing", ["+@write", "+@scripting", "+time"])
def test_a_user_with_too_few_rights_is_found(user, finding, missing):
    assert missing in RULE

    found = finding(user(RULE.replace(missing, "")))

    assert found["verdict"] == "wrong"
    assert "~rs:*" in found["remedy"]
    assert "docs/how-to/deploy.md" in found["remedy"]


def test_page_and_doctor_name_the_same_rights():
    assert RULE == RIGHTS


def test_the_rights_of_the_page_suffice(user, finding):
    found = finding(user(RULE))

    assert found["verdict"] == "ok"
    assert re.search(r"answers in \S+ ms, announcements arrive in \S+ ms", found["text"])


def test_nothing_of_the_doctor_stays(user, finding, redis_url):
    finding(user(RULE))

    with redis.Redis.from_url(redis_url) as client:
        kept = [key for key in client.scan_iter("*doctor-probe*") if client.ttl(key) < 0]
    assert kept == []


def test_a_waiter_says_that_channels_are_refused(user, caplog):
    app = Celery("waits", broker="memory://", backend=f"resultstore+{user('allkeys resetchannels +@all')}")

    with caplog.at_level(logging.WARNING, logger="resultstore"):
        with pytest.raises(app.AsyncResult("x").TimeoutError):
            app.AsyncResult(secrets.token_hex(8)).get(timeout=0.5)
        until(lambda: "channels_refused" in caplog.text, "it is said")
    assert "&rs:*" in caplog.text
    assert caplog.text.count("channels_refused") == 1
