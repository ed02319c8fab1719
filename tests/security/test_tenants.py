"""Tenants: one owner can neither use nor detect another owner's uploads and Results."""

import threading

import pytest

from tests.security import hostile

METHODS = {
    "status": ("GET", "/v1/results/{id}"),
    "artifact": ("GET", "/v1/results/{id}/artifacts/a-64.webp"),
    "cancel": ("POST", "/v1/results/{id}/cancel"),
    "retry": ("POST", "/v1/results/{id}/retry"),
    "delete": ("DELETE", "/v1/results/{id}"),
}
OPEN_UPLOAD = {
    "upload's parts": ("GET", "/v1/uploads/{id}"),
    "completion": ("POST", "/v1/uploads/{id}/complete"),
    "abort": ("DELETE", "/v1/uploads/{id}"),
}


def asked(client, method, path, result_id):
    return client.request(method, path.format(id=result_id), **({"json": {}} if method == "POST" else {}))


@pytest.fixture(scope="module")
def anns(target) -> str:
    """Store a successful Result of Ann."""
    made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
    outcome = target.outcome(made)
    assert outcome.state == "SUCCESS"
    return outcome.id


@pytest.mark.parametrize("what", METHODS)
def test_foreign_result_answers_like_an_unknown_one(target, attack, anns, unknown, what):
    with attack(f"foreign {what}") as seen:
        foreign, nothing = (asked(target.bob, *METHODS[what], one) for one in (anns, unknown))
        assert (foreign.status_code, nothing.status_code) == (404, 404)
        assert foreign.text.replace(anns, "ID") == nothing.text.replace(unknown, "ID")
        assert target.ann.get(f"/v1/results/{anns}").json()["state"] == "SUCCESS"
        seen.refused()


@pytest.mark.parametrize("what", OPEN_UPLOAD)
def test_foreign_upload_answers_like_an_unknown_one(target, attack, unknown, what):
    with attack(f"foreign {what}") as seen:
        ticket = {"name": "a.jpg", "media_type": "image/jpeg", "task": "images.resize", "options": {}, "size_bytes": 9}
        mine = target.ann.post("/v1/uploads", json=ticket).json()["id"]
        foreign, nothing = (asked(target.bob, *OPEN_UPLOAD[what], one) for one in (mine, unknown))
        assert (foreign.status_code, nothing.status_code) == (404, 404)
        assert foreign.text.replace(mine, "ID") == nothing.text.replace(unknown, "ID")
        assert target.ann.get(f"/v1/uploads/{mine}").status_code == 200
        target.ann.delete(f"/v1/uploads/{mine}").raise_for_status()
        seen.refused()


def test_lists_and_streams_contain_only_own_results(target, attack, anns):
    with attack("foreign list and events") as seen:
        assert anns not in target.bob.get("/v1/results").text
        heard = []
        with target.bob.stream("GET", "/v1/events") as stream:
            lines = stream.iter_lines()
            while not heard or heard[-1]:  # the snapshot, up to its empty line
                heard.append(next(lines))
        assert anns not in "".join(heard)
        seen.refused()


@pytest.mark.parametrize("path", ["/v1/results", "/v1/events", "/v1/tasks", "/v1/uploads/x", "/v1/session"])
def test_unauthenticated_client_gets_401(target, attack, path):
    with attack(f"no token at {path}") as seen:
        answer = target.anonymous.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "set-cookie" not in answer.headers
        seen.refused()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/metrics", "/debug", "/.env", "/static/../settings.py"])
def test_what_is_not_for_browsers_is_not_there(target, attack, path):
    with attack(f"open {path}") as seen:
        answer = target.anonymous.get(path)
        assert answer.status_code in {401, 404}
        assert "Traceback" not in answer.text
        seen.refused()


def test_completing_often_and_at_once_starts_one_task(target, attack):
    with attack("complete twice and at once", max_s=30) as seen:
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        result_id, answers = made.json()["id"], []

        def complete() -> None:
            answers.append(target.ann.post(f"/v1/uploads/{result_id}/complete", json={}).status_code)

        threads = [threading.Thread(target=complete) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        outcome = target.outcome(made)
        assert set(answers) == {202}
        assert (outcome.state, outcome.retries) == ("SUCCESS", 0)
        assert len({one.key.split("/")[4].split(".")[0] for one in outcome.artifacts if one.name != "input"}) == 1
        seen.harmless()
