"""The fast path gives the same responses as the normal routes."""

import pytest

from resultstore import State
from resultstore.gateway.results import fast_path
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running

ODD = ("%2e%2e", "a%2Fb", "%00", "x" * 300, "x" * 2000, "a%20b", "ä", "..%5c")


@pytest.fixture
def paths(served_with_tokens):
    served, _ = served_with_tokens
    attempt = Attempt("anns", owner="ann")
    with running(attempt):
        served.store.put(b"one", name="a b.png", media_type="image/png")
    served.store.seal(attempt, value=b"1")
    served.store.save(Result(id="runs", state=State.STARTED, owner="ann"))
    named = [f"/v1/results/{one}" for one in ("anns", "runs", "none", *ODD)]
    links = [f"/v1/results/{one}/artifacts/{name}" for one in ("anns", "runs", "none") for name in ("a%20b.png", *ODD)]
    return [*named, *links, "/v1/results/", "/v1/results/anns/artifacts/", "/v1/results/anns/artifact/a"]


@pytest.mark.parametrize("who", ["ann", "bob", "without the scope", "nobody"])
def test_fast_path_answers_like_the_route(served_with_tokens, paths, who, monkeypatch):
    served, token_of = served_with_tokens
    scopes = ("upload",) if who == "without the scope" else ("read",)
    owner = "bob" if who == "bob" else "ann"
    headers = {} if who == "nobody" else {"Authorization": f"Bearer {token_of(owner, *scopes)}"}

    def said(path):
        answer = served.gateway.get(path, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
        kept["location"] = kept.get("location", "").partition("?")[0]  # the signature depends on the time
        return answer.status_code, kept, answer.content

    taken = [said(path) for path in paths]
    monkeypatch.setattr(fast_path, "_path_segments", lambda _scope: [])

    assert taken == [said(path) for path in paths]
    assert (200 in {status for status, _, _ in taken}) == (who == "ann")


def test_fast_path_requests_are_counted_by_template(served, monkeypatch):
    served.store.save(Result(id="runs", state=State.STARTED))
    seen, request = [], fast_path.Request
    monkeypatch.setattr(fast_path, "Request", lambda scope, receive: seen.append(scope) or request(scope, receive))

    served.gateway.get("/v1/results/runs")
    served.gateway.get("/v1/results/runs/artifacts/one")
    served.gateway.get("/v1/results/runs?further=1")

    assert [scope["route"].path for scope in seen] == [
        "/v1/results/{result_id}",
        "/v1/results/{result_id}/artifacts/{name}",
    ]
