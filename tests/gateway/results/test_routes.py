"""Results by HTTP: what a client sees, and what stays hidden."""

import logging
import socket
import time
from urllib.parse import quote

import httpx
import msgspec
import pytest

from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable
from resultstore.model.result import Failure, Progress, Result, State


def test_result_view_has_artifacts_and_links(served):
    artifact = served.store.put(b"hello", name="greeting.txt", id="job-1", metadata={"words": 1})

    answer = served.gateway.get("/v1/results/job-1")

    assert answer.status_code == 200
    told = answer.json()
    assert (told["id"], told["state"]) == ("job-1", "SUCCESS")
    (part,) = told["artifacts"]
    assert part["sha256"] == artifact.sha256
    assert part["size_bytes"] == 5
    assert part["metadata"] == {"words": 1}
    assert part["link"] == "/v1/results/job-1/artifacts/greeting.txt"


def test_view_reveals_nothing_internal(served):
    artifact = served.store.put(b"hello", name="greeting.txt", id="job-1")
    failure, nonce = Failure("ValueError", "no"), layout.new_nonce()
    served.store.save(Result(id="job-2", state=State.FAILURE, failure=failure, traceback="in secret.py", nonce=nonce))

    told = served.gateway.get("/v1/results/job-1").text + served.gateway.get("/v1/results/job-2").text

    for secret in (artifact.key, artifact.etag, "secret.py", nonce, "traceback", "nonce"):
        assert secret not in told
    assert served.gateway.get("/v1/results/job-2").json()["failure"] == {
        "type": "ValueError",
        "message": "no",
        "summary": "The task stopped because of an error in its program.",
        "hint": "",
    }


def test_view_shows_progress_of_running_task(served):
    served.store.save(Result(id="job", state=State.PROGRESS, progress=Progress(3, 4, "page 3")))

    told = served.gateway.get("/v1/results/job").json()

    assert told["progress"] == {"done": 3, "total": 4, "percent": 75.0, "note": "page 3"}


def test_an_artifact_leads_to_its_bytes(served):
    served.store.put(b"hello", name="grüße.txt", id="job")

    link = served.gateway.get("/v1/results/job").json()["artifacts"][0]["link"]
    answer = served.gateway.get(link)

    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    got = httpx.get(answer.headers["location"])
    assert got.content == b"hello"
    assert "filename*=UTF-8''gr%C3%BC%C3%9Fe.txt" in got.headers["content-disposition"]


def test_the_url_can_be_had_as_json(served):
    served.store.put(b"hello", name="a.txt", id="job")

    told = served.gateway.get("/v1/results/job/artifacts/a.txt?link=1").json()

    assert httpx.get(told["url"]).content == b"hello"
    assert told["expires_at"] > 0


def test_head_is_answered_like_get(served):
    served.store.put(b"hello", name="a.txt", id="job")

    assert served.gateway.head("/v1/results/job").status_code == 200
    assert served.gateway.head("/v1/results/job/artifacts/a.txt").status_code == 302
    assert served.gateway.head("/livez").status_code == 200
    assert served.gateway.head("/v1/results/none").status_code == 404


HOSTILE = ["none", "..", "%2e%2e%2fetc", "a b", "%00", "<script>", "a" * 5000, "é\u202e", "{x}", "%ff%fe", "rs:{x}:+"]


@pytest.mark.parametrize("result_id", HOSTILE)
def test_unknown_or_malformed_id_is_a_404_problem(served, result_id):
    path = f"/v1/results/{result_id if '%' in result_id else quote(result_id, safe='')}"

    answers = [served.gateway.get(path), served.gateway.get(path + "/artifacts/x")]

    for answer in answers:
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert told["status"] == 404
        assert told["slug"] in {"result-missing", "no-such-path"}
        assert told["type"] == f"urn:resultstore:problem:{told['slug']}"
        assert "Traceback" not in answer.text
        assert len(answer.text) < 1000


def test_unknown_artifact_has_its_own_problem(served):
    served.store.put(b"hello", name="a.txt", id="job")

    answer = served.gateway.get("/v1/results/job/artifacts/b.txt")

    assert (answer.status_code, answer.json()["slug"]) == (404, "artifact-missing")


def test_an_expired_artifact_is_gone(served):
    artifact = served.store.put(b"hello", name="a.txt", id="job")
    aged = Result(id="old", state=State.SUCCESS, artifacts=(_aged(artifact),), sealed=True)
    served.store.save(aged)

    answer = served.gateway.get("/v1/results/old/artifacts/a.txt")

    assert (answer.status_code, answer.json()["slug"]) == (410, "artifact-expired")
    assert "signature" not in answer.text


def test_owned_result_answers_like_an_unknown_one(served):
    served.store.save(Result(id="private", state=State.STARTED, owner="ann"))

    mine = served.gateway.get("/v1/results/private")
    unknown = served.gateway.get("/v1/results/unknown")

    assert mine.status_code == 404
    assert mine.text.replace("private", "unknown") == unknown.text


def test_every_error_is_a_problem(served):
    answers = {
        404: served.gateway.get("/nowhere"),
        405: served.gateway.put("/v1/results/x"),
        422: served.gateway.get("/v1/results/x/artifacts/y?link=perhaps"),
        421: served.gateway.get("/livez", headers={"Host": "evil.example"}),
    }

    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["slug"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "",
        "evil@127.0.0.1",
        "evil:80@127.0.0.1",
        "127.0.0.1/evil",
        "127.0.0.1?",
        "127.0.0.1#",
        "127.0.0.1:",
        "127.0.0.1:80:80",
        "127.0.0.1:http",
        "::1",
    ],
)
def test_a_foreign_host_name_is_refused(served, host):
    assert served.gateway.get("/v1/results/x", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "evil.example"), ("127.0.0", ".1"), ()])
def test_one_host_header_is_wanted(served, hosts):
    at = (served.gateway.base_url.host, served.gateway.base_url.port)
    lines = "".join(f"Host: {one}\r\n" for one in hosts)
    with socket.create_connection(at) as connection:
        connection.sendall(f"GET /livez HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        said = connection.makefile("rb").readline()

    assert said.split()[1] == b"421"


def test_unavailable_server_is_an_anonymous_503(served, monkeypatch):
    def away(_id):
        raise IndexUnavailable("the index at redis.internal:6379 does not answer")

    monkeypatch.setattr(served.store.index, "load", away)
    monkeypatch.setattr(served.store.index, "peek", away)

    answer = served.gateway.get("/v1/results/x")
    ready = served.gateway.get("/readyz")

    assert (answer.status_code, answer.json()["slug"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert ready.status_code == 503
    assert ready.json()["dependencies"]["index"]["ok"] is False
    assert ready.json()["dependencies"]["blobs"]["ok"] is True
    assert "internal" not in answer.text + ready.text
    assert served.gateway.get("/livez").status_code == 200


def test_unexpected_error_is_a_problem_without_details(served, monkeypatch):
    def broken(_id):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(served.store.index, "load", broken)

    answer = served.gateway.get("/v1/results/x")

    assert (answer.status_code, answer.json()["slug"]) == (500, "internal-error")
    assert "secret" not in answer.text


def test_no_signature_is_ever_logged(served, caplog):
    caplog.set_level(logging.INFO)
    served.store.put(b"hello", name="a.txt", id="job")
    location = served.gateway.get("/v1/results/job/artifacts/a.txt").headers["location"]
    httpx.get(location)
    httpx.get(location + "x")

    ends = time.monotonic() + 5
    while caplog.text.count("listener=") < 3 and time.monotonic() < ends:  # logged after the response
        time.sleep(0.01)

    # the test's own client logs the URLs that it requests
    logged = "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("resultstore"))
    assert "/v1/results/job/artifacts/a.txt" in logged
    assert logged.count("listener=") == 3
    assert "signature" not in logged
    assert location.rpartition("signature=")[2] not in logged


def _aged(artifact):
    return msgspec.structs.replace(artifact, expires_at=1_000_000)
