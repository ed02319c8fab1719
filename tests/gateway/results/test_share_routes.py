"""Share links over HTTP: who may make them, where they lead, and what each client sees."""

import httpx
import pytest

from tests.gateway.results.test_foreign_ids import sealed

SHARE = "/v1/results/{}/artifacts/out.txt/shares"


@pytest.fixture
def place(served_with_tokens):
    """Return the gateway, ann's headers with the scope share, and a Result of hers."""
    served, token_of = served_with_tokens
    headers = {"Authorization": f"Bearer {token_of('ann', 'read', 'share')}"}
    return served, headers, sealed(served.store, "ann")


def make(place, **asked):
    served, headers, result_id = place
    answer = served.gateway.post(SHARE.format(result_id), json=asked, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def listed(place):
    served, headers, result_id = place
    return served.gateway.get(f"/v1/results/{result_id}/shares", headers=headers).json()["shares"]


def test_anybody_can_download_by_the_link(place):
    served, _, _ = place
    made = make(place)

    answer = httpx.get(made["url"])

    assert made["url"].startswith(f"{str(served.gateway.base_url).rstrip('/')}/share/")
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert httpx.get(answer.headers["location"]).content == b"secret"
    assert [(one["id"], one["uses"], one["state"], one["url"]) for one in listed(place)] == [
        (made["id"], 1, "active", made["url"])
    ]


def test_a_revoked_link_is_gone(place):
    served, headers, result_id = place
    made = make(place)

    done = served.gateway.delete(f"/v1/results/{result_id}/shares/{made['id']}", headers=headers)
    answer = httpx.get(made["url"])

    assert done.status_code == 204
    assert (answer.status_code, answer.json()["slug"]) == (410, "share-ended")
    assert "location" not in answer.headers
    assert [one["state"] for one in listed(place)] == ["revoked"]


def test_a_link_for_one_download_works_once(place):
    made = make(place, max_uses=1)

    assert [httpx.get(made["url"]).status_code for _ in range(3)] == [302, 410, 410]
    assert [(one["state"], one["uses"]) for one in listed(place)] == [("used up", 1)]


def test_looking_at_a_link_counts_nothing(place):
    made = make(place, max_uses=1)

    assert httpx.head(made["url"]).status_code == 405
    assert httpx.options(made["url"]).status_code == 405
    assert httpx.get(made["url"]).status_code == 302


@pytest.mark.parametrize("change", [lambda url: url[:-1], lambda url: url + "A", lambda url: url[:-20] + "A" * 20])
def test_guessed_links_are_unknown(place, change):
    made = make(place)

    answer = httpx.get(change(made["url"]))

    assert (answer.status_code, answer.json()["slug"]) == (404, "share-missing")
    assert place[2] not in answer.text


def test_only_the_owner_with_the_scope_may_share(place, served_with_tokens):
    served, _, result_id = place
    _, token_of = served_with_tokens
    others = {"scope-missing": ("ann", "read", "admin"), "result-missing": ("bob", "read", "share")}
    made = make(place)
    for slug, granted in others.items():
        other = {"Authorization": f"Bearer {token_of(*granted)}"}
        answers = [
            served.gateway.post(SHARE.format(result_id), json={}, headers=other),
            served.gateway.get(f"/v1/results/{result_id}/shares", headers=other),
            served.gateway.delete(f"/v1/results/{result_id}/shares/{made['id']}", headers=other),
        ]
        assert {one.json()["slug"] for one in answers} == {slug}
    assert served.gateway.post(SHARE.format(result_id), json={}).status_code == 401
    assert [one["state"] for one in listed(place)] == ["active"]


@pytest.mark.parametrize(
    "asked", [{"expires_in_s": 59}, {"expires_in_s": 31_536_001}, {"max_uses": -1}, {"owner": "x"}]
)
def test_values_out_of_bounds_are_refused(place, asked):
    served, headers, result_id = place
    answer = served.gateway.post(SHARE.format(result_id), json=asked, headers=headers)
    assert (answer.status_code, answer.json()["slug"]) == (422, "invalid-request")


def test_a_mail_may_link_and_no_page_may_embed(place):
    made = make(place)
    about = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    linked = httpx.get(made["url"], headers={**about, "Sec-Fetch-Dest": "document"})
    embedded = httpx.get(made["url"], headers={**about, "Sec-Fetch-Dest": "iframe"})

    assert (linked.status_code, embedded.status_code) == (302, 403)


def test_the_log_holds_no_token(place, caplog):
    made = make(place)
    httpx.get(made["url"])
    httpx.get(made["url"] + "A")

    logged = [one.getMessage() + str(one.__dict__) for one in caplog.records if one.name.startswith("resultstore")]
    assert any("/share/rss_" in one for one in logged)
    assert [one for one in logged if made["url"].rpartition("/")[2] in one] == []
