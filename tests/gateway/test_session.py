"""The session: the caller, its scopes, and the Results that it may see."""

from resultstore.model.result import Result, State


def test_open_mode_gives_local_owner_every_scope(served):
    told = served.gateway.get("/v1/session")

    assert told.status_code == 200
    assert told.headers["cache-control"] == "no-store"
    assert told.json()["mode"] == "open"
    assert told.json()["owner"] == "local"
    assert told.json()["scopes"] == ["admin", "delete", "read", "run", "share", "upload"]


def test_session_names_the_origin_of_bytes(served):
    told = served.gateway.get("/v1/session").json()

    assert told["bytes_origin"] == str(served.bytes.base_url)
    assert told["bytes_origin"] != str(served.gateway.base_url)


def test_callers_see_own_results_and_admins_unowned(served):
    for result_id, owner in (("mine", "local"), ("nobodys", ""), ("anns", "ann")):
        served.store.save(Result(id=result_id, state=State.STARTED, owner=owner))

    answers = {one: served.gateway.get(f"/v1/results/{one}").status_code for one in ("mine", "nobodys", "anns")}

    assert answers == {"mine": 200, "nobodys": 200, "anns": 404}
