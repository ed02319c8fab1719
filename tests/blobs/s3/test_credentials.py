"""Credentials: a plain pair in the environment needs no boto3; its chain finds everything else."""

import subprocess
import sys

import boto3
import pytest

from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import Credentials
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured

WITHOUT_BOTO = """
import sys
from resultstore import Settings, connect
store = connect(Settings(index_url="memory://", blobs_url="s3://bucket", s3_endpoint="http://127.0.0.1:1"))
print(store.signer is not None, sorted({"boto3", "botocore"} & sys.modules.keys()))
"""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_keys_in_the_environment_need_no_boto3():
    done = subprocess.run([sys.executable, "-c", WITHOUT_BOTO], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\n"


@pytest.mark.parametrize(
    "more",
    [{}, {"AWS_SESSION_TOKEN": "token"}, {"AWS_SESSION_TOKEN": "a", "AWS_SECURITY_TOKEN": "b"}, {"AWS_PROFILE": "x"}],
)
def test_it_is_the_same_pair_that_boto3_finds(monkeypatch, tmp_path, more):
    (tmp_path / "credentials").write_text("[x]\naws_access_key_id = profiled\naws_secret_access_key = other\n")
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    theirs = boto3.session.Session().get_credentials().get_frozen_credentials()
    assert CredentialChain()() == Credentials(theirs.access_key, theirs.secret_key, theirs.token or "")


def test_named_profile_wins_over_the_environment(tmp_path):
    (tmp_path / "credentials").write_text("[x]\naws_access_key_id = profiled\naws_secret_access_key = other\n")
    assert CredentialChain("x")() == Credentials("profiled", "other")


def test_half_a_pair_and_none_are_told(monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BlobStoreUnavailable, match="AWS_SECRET_ACCESS_KEY"):
        CredentialChain()()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(BlobStoreUnavailable, match="no credentials"):
        CredentialChain()()


def test_a_profile_that_does_not_exist_is_told():
    with pytest.raises(Misconfigured, match="RESULTSTORE_S3_SIGN_PROFILE"):
        CredentialChain("nobody")()
