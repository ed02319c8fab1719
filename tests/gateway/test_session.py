"""Session: who asks, and what belongs to whom."""

from resultstore.model.result import Result, State


def test_in_open_mode_everybody_is_the_local_owner_with_every_scope(served):
    told = served.gateway.get("/v1/session")

    assert told.status_code == 200
    assert told.headers["cache-control"] == "no-store"
    assert told.json()["mode"] == "open"
    assert told.json()["owner"] == "local"
    assert told.json()["scopes"] == ["admin", "delete", "read", "run", "upload"]


def test_the_session_names_the_origin_of_the_bytes_which_is_not_its_own(served):
    told = served.gateway.get("/v1/session").json()

    assert told["bytes_origin"] == str(served.bytes.base_url)
    assert told["bytes_origin"] != str(served.gateway.base_url)


def test_a_caller_sees_his_own_results_and_as_admin_those_without_an_owner(served):
    for result_id, owner in (("mine", "local"), ("nobodys", ""), ("anns", "ann")):
        served.store.save(Result(id=result_id, state=State.STARTED, owner=owner))

    answers = {one: served.gateway.get(f"/v1/results/{one}").status_code for one in ("mine", "nobodys", "anns")}

    assert answers == {"mine": 200, "nobodys": 200, "anns": 404}
