"""Tokens by command: printed once, stored as a hash; a gateway without tokens serves this machine only."""

import pytest

from resultstore.gateway.identity.token_file import parse_line, token_hash


def test_new_token_is_printed_and_its_hash_kept(place, run):
    made = run("token", "new", "--owner", "ann", "--scopes", "read,run", "--file", "tokens")

    token = made.out.decode().strip()
    kept = parse_line((place.folder / "tokens").read_text())
    assert made.code == 0
    assert (kept.sha256, kept.owner, kept.scopes) == (token_hash(token), "ann", {"read", "run"})
    assert token not in (place.folder / "tokens").read_text() + made.err


def test_token_from_stdin_is_added(place, run):
    added = run("token", "add", "--owner", "ann", stdin=b"t" * 48 + b"\n", RESULTSTORE_AUTH_TOKENS_FILE="tokens")

    assert added.code == 0
    assert parse_line((place.folder / "tokens").read_text()).sha256 == token_hash("t" * 48)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("new", "--owner", "a b", "--file", "tokens"), "owner"),
        (("new", "--owner", "ann", "--scopes", "read,all", "--file", "tokens"), "scope"),
        (("new", "--owner", "ann"), "RESULTSTORE_AUTH_TOKENS_FILE"),
        (("add", "--owner", "ann", "--file", "tokens"), "guessed"),
    ],
)
def test_unsafe_token_input_is_refused(place, run, args, word):
    done = run("token", *args, stdin=b"short")

    assert done.code != 0
    assert word in done.err
    assert not (place.folder / "tokens").exists()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"RESULTSTORE_GATEWAY_HOST": "0.0.0.0"}, "RESULTSTORE_AUTH"),
        ({"RESULTSTORE_AUTH": "tokens"}, "RESULTSTORE_AUTH_TOKENS_FILE"),
        ({"RESULTSTORE_AUTH": "jwt"}, "RESULTSTORE_JWT_ISSUER"),
    ],
    ids=str,
)
def test_gateway_open_to_the_network_does_not_start(run, settings, word):
    done = run("gateway", RESULTSTORE_GATEWAY_PORT="0", RESULTSTORE_BYTES_PORT="0", **settings)

    assert done.code != 0
    assert word in done.err
    assert "Traceback" not in done.err


def test_token_gateway_does_not_start_without_secret_key(place, run):
    run("token", "new", "--owner", "ann", "--file", "tokens")
    settings = {"RESULTSTORE_AUTH": "tokens", "RESULTSTORE_AUTH_TOKENS_FILE": "tokens", "RESULTSTORE_SECRET_KEY": ""}

    done = run("gateway", RESULTSTORE_GATEWAY_PORT="0", RESULTSTORE_BYTES_PORT="0", **settings)

    assert done.code != 0
    assert "RESULTSTORE_SECRET_KEY" in done.err
