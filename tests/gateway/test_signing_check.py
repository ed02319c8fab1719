"""The signing check: a gateway serves only if its presigned URLs cannot be used to forge results."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI

from resultstore.blobs.s3.credentials import Credentials
from resultstore.connect import connect
from resultstore.gateway.app import create_app
from resultstore.gateway.signing_check import SigningKeyCheck
from resultstore.model.errors import Misconfigured
from resultstore.ops.accounts import temporary_accounts
from resultstore.ops.embedded import free_port
from resultstore.settings import Settings
from tests.faults.proxy import Fault, proxy_before
from tests.gateway.test_own_server import plainly_served
from tests.uploads.telling import until

NOT_ACCEPTED = {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "false"}


@pytest.fixture
def variables(s3_server, bucket) -> dict[str, str]:
    """Return the environment of a gateway over a real MinIO, which carries out unsigned writes."""
    return NOT_ACCEPTED | {
        "RESULTSTORE_INDEX_URL": "memory://",
        "RESULTSTORE_BLOBS_URL": f"s3://{bucket}/root",
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_GATEWAY_PORT": str(free_port()),
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }


@pytest.fixture
def set_variables(monkeypatch) -> Callable[..., Settings]:
    """Return a function that sets the environment and returns its settings."""

    def set_variables(variables: dict[str, str]) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return set_variables


@pytest.fixture
def accounts(variables, set_variables) -> Iterator[dict[str, Credentials]]:
    """Create an account for each role."""
    with temporary_accounts(set_variables(variables), token=secrets.token_hex(3)) as made:
        yield made


def signing(name: str, pair: Credentials) -> dict[str, str]:
    return {f"RESULTSTORE_{name}_ACCESS_KEY": pair.access_key, f"RESULTSTORE_{name}_SECRET_KEY": pair.secret_key}


def own(pair: Credentials) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": pair.access_key, "AWS_SECRET_ACCESS_KEY": pair.secret_key}


def scoped(accounts: dict[str, Credentials]) -> dict[str, str]:
    """Return the environment with the gateway's account and the two signing accounts."""
    signers = signing("S3_SIGN", accounts["reader"]) | signing("S3_UPLOAD_SIGN", accounts["uploader"])
    return own(accounts["gateway"]) | signers


def app_of(settings: Settings) -> FastAPI:
    return create_app(connect(settings))


def test_gateway_refuses_to_start_with_root_key(variables, s3_server, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "resultstore.cli", "gateway"],
        env={"PATH": "", **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode not in {0, 2}
    for word in ("CVE-2026-41145", s3_server.access_key, "blobs/, seals/", "resultstore setup minio", "ACCEPT_FORG"):
        assert word in done.stderr
    assert s3_server.secret_key not in done.stderr


@pytest.mark.parametrize("signer", ["S3_SIGN", "S3_UPLOAD_SIGN"])
def test_each_key_that_signs_is_looked_at(variables, accounts, set_variables, s3_server, signer):
    root = Credentials(s3_server.access_key, s3_server.secret_key)
    settings = set_variables(variables | scoped(accounts) | signing(signer, root))

    with pytest.raises(Misconfigured, match="signs reads" if signer == "S3_SIGN" else "signs uploads"):
        app_of(settings).state.background.start()


def test_the_gateway_serves_with_scoped_accounts(variables, accounts, set_variables):
    app = app_of(set_variables(variables | scoped(accounts)))

    with plainly_served(app) as url:
        assert httpx.get(f"{url}/livez").status_code == 200


def test_the_gateways_own_account_may_sign(variables, accounts, set_variables, s3_server):
    gateway = accounts["gateway"]  # it may overwrite seals, since it deletes results
    settings = set_variables(variables | own(gateway))

    with pytest.raises(Misconfigured, match=r"uploads and reads may write to seals/:"):
        app_of(settings).state.background.start()


def test_an_app_below_another_one_serves_nothing(variables, set_variables):
    app = app_of(set_variables(variables))

    with plainly_served(app, lifespan="off") as url:
        answers = [httpx.get(f"{url}{path}") for path in ("/livez", "/v1/results/x")]

    assert [one.status_code for one in answers] == [503, 503]
    assert answers[0].json()["slug"] == "store-forgeable"


def test_acceptance_lets_it_serve(variables, set_variables):
    app = app_of(set_variables(variables | {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true"}))

    with plainly_served(app) as url:
        assert httpx.get(f"{url}/livez").status_code == 200


def test_unavailable_store_is_checked_again(variables, set_variables, s3_server):
    with proxy_before(s3_server.endpoint) as proxy:
        away = proxy.fault(Fault.ANSWER_503_BEFORE, "PUT", "probe", times=2)
        check = SigningKeyCheck(set_variables(variables | {"RESULTSTORE_S3_ENDPOINT": proxy.url}), retry_s=0.01)

        check.start()
        until(lambda: check.refusal != "", "the store has answered")
        check.stop()

    assert away.fired == 2
    assert "CVE-2026-41145" in check.refusal


def test_a_folder_needs_no_look(tmp_path, set_variables):
    settings = set_variables(NOT_ACCEPTED | {"RESULTSTORE_INDEX_URL": "memory://"})
    app = app_of(Settings(index_url=settings.index.url, blobs_url=f"file://{tmp_path}/blobs"))

    with app.state.background.running():
        assert app.state.background.refusal == ""
