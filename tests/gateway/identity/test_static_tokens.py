"""Static tokens: which callers are accepted, as which owner and with which scopes."""

import pytest

from resultstore.gateway.identity import static_tokens as reading
from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.identity.identities import check_exposure, identities_of
from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, parse_line, token_hash
from resultstore.gateway.problems import Problem
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result, State
from resultstore.settings import Settings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens"


def granted(file, owner, *scopes):
    token = new_token()
    append_entry(file, TokenEntry(token_hash(token), owner, frozenset(scopes)))
    return token


def identities(file):
    return identities_of(Settings(auth="tokens", auth_tokens_file=str(file)))


@pytest.mark.anyio
async def test_the_token_says_who_and_what(file):
    token = granted(file, "ann@example.org", "read", "run")

    caller = await identities(file).caller(f"bearer  {token}")

    assert caller == Caller("ann@example.org", frozenset({"read", "run"}))
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer " + "x" * 100_000, "Bearer \udcff", "{token}x", "{token}"],
)
async def test_other_authorization_headers_are_refused(file, header):
    token = granted(file, "ann", "read")
    known = identities(file)

    with pytest.raises(Problem) as refused:
        await known.caller(header.format(token=token))

    assert (refused.value.status, refused.value.slug) == (401, "unauthenticated")
    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer")
    assert token not in refused.value.detail


@pytest.mark.anyio
async def test_tokens_change_without_a_restart(file, monkeypatch):
    monkeypatch.setattr(reading, "RELOAD_CHECK_S", 0.0)
    old = granted(file, "ann", "read")
    known = identities(file)
    await known.caller(f"Bearer {old}")

    file.unlink()
    new = granted(file, "bob", "read")

    assert (await known.caller(f"Bearer {new}")).owner == "bob"
    with pytest.raises(Problem):
        await known.caller(f"Bearer {old}")


@pytest.mark.anyio
async def test_missing_file_refuses_all_invalid_line_only_itself(file, monkeypatch):
    monkeypatch.setattr(reading, "RELOAD_CHECK_S", 0.0)
    token = granted(file, "ann", "read")
    known = identities(file)

    with file.open("a") as more:
        more.write("# a remark\n\nsha256:zz ann read\n")
    assert (await known.caller(f"Bearer {token}")).owner == "ann"

    file.unlink()
    with pytest.raises(Problem):
        await known.caller(f"Bearer {token}")


WRONG = ["ann read", "sha256:abc ann read", f"sha256:{'0' * 64} a b:c read", f"sha256:{'0' * 64} ann read,all", ""]


@pytest.mark.parametrize("line", WRONG)
def test_gateway_refuses_invalid_or_empty_token_file(file, line):
    file.write_text(line + "\n")

    with pytest.raises(Misconfigured) as why:
        identities(file)

    assert "0000" not in str(why.value)


def test_a_line_reads_back_as_it_was_written():
    grant = TokenEntry("0" * 64, "ann", frozenset({"read", "admin"}), "the phone of ann")

    assert parse_line(grant.line()) == grant


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"])
def test_an_open_gateway_starts_on_loopback_only(host):
    with pytest.raises(Misconfigured, match="RESULTSTORE_AUTH"):
        check_exposure(Settings(), host=host, mode="open")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_an_open_gateway_starts(host):
    check_exposure(Settings(), host=host, mode="open")


@pytest.mark.parametrize("auth", ["tokens", "jwt"])
def test_authentication_needs_a_secret_key(auth):
    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY"):
        check_exposure(Settings(auth=auth), host="0.0.0.0", mode=auth)
    check_exposure(Settings(auth=auth, secret_key="k" * 32), host="0.0.0.0", mode=auth)


def test_401_reveals_nothing_and_403_names_missing_scope(served_with_tokens):
    served, token_of = served_with_tokens
    served.store.save(Result(id="anns", state=State.STARTED, owner="ann"))
    ann, bob = as_bearer(token_of("ann", "read")), as_bearer(token_of("bob", "read"))
    blind = as_bearer(token_of("ann", "upload"))

    def ask(path, headers=None):
        return served.gateway.get(path, headers=headers)

    assert ask("/v1/results/anns", ann).status_code == 200
    assert ask("/v1/results/anns").status_code == 401
    assert ask("/v1/results/anns?access_token=" + ann["Authorization"][7:]).status_code == 401
    asked = ("anns", blind), ("anns", bob), ("none", bob)
    denied, foreign, unknown = (ask(f"/v1/results/{one}", of) for one, of in asked)
    assert (denied.status_code, denied.json()["slug"]) == (403, "scope-missing")
    assert foreign.content == unknown.content.replace(b"none", b"anns")
    assert of_itself(foreign) == of_itself(unknown)
    assert ask("/v1/session", blind).json()["scopes"] == ["upload"]
    assert "set-cookie" not in {name for answer in (foreign, ask("/v1/session", ann)) for name in answer.headers}


def test_unowned_results_are_for_admins(served_with_tokens):
    served, token_of = served_with_tokens
    served.store.save(Result(id="nobodys", state=State.STARTED))

    answers = [
        served.gateway.get("/v1/results/nobodys", headers=as_bearer(token_of("ann", *scopes))).status_code
        for scopes in (("read",), ("read", "admin"))
    ]

    assert answers == [404, 200]


def of_itself(answer):
    return {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}


def as_bearer(token):
    return {"Authorization": f"Bearer {token}"}
