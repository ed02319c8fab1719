"""Certificates: either of the two variables is enough for every client of the object store."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from resultstore.blobs.s3.certificates import for_boto, for_obstore, tls_context
from resultstore.model.errors import Misconfigured
from tests.index.redis.conftest import self_signed
from tests.uploads.telling import own_minio

VARIABLES = ("SSL_CERT_FILE", "AWS_CA_BUNDLE")
# Each client of the store once, in a process of its own: some read the variables only when they are loaded.
CLIENTS = """
import json
from resultstore import Settings, connect
from resultstore.connect import connect_bucket, connect_forgers, connect_minio, connect_probes

settings = Settings(index_url="memory://", commit_budget_s=5)
store, probes, bucket = connect(settings), connect_probes(settings), connect_bucket(settings)
[forger] = connect_forgers(settings).values()
tries = {
    "boto3": bucket.ensure,
    "obstore": lambda: store.blobs.put("blobs/1d/ab/x/" + "0" * 32 + ".0", [b"content"], media_type="a/b"),
    "clock": store.blobs.now,
    "MinIO's SDK": lambda: connect_minio(settings).policy_of("unknown"),
    "a URL": probes.ends_urls,
    "half a body": probes.drops_torn_uploads,
    "forgery": forger.reach,
}
said = {}
for name, run in tries.items():
    try:
        run()
    except Exception as error:
        said[name] = str(error)
print(json.dumps([list(tries), said]))
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A MinIO that speaks TLS, and the file of its authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificates = folder / "certificates"
    certificates.mkdir()
    key, certificate = self_signed(folder)
    shutil.copy(key, certificates / "private.key")
    shutil.copy(certificate, certificates / "public.crt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", certificate)  # of the fixture's own questions
        with own_minio(folder, certificates=certificates) as minio:
            patch.undo()
            yield minio, certificate


def failures(minio, **variables: str) -> tuple[list[str], dict[str, str]]:
    """The clients that were tried, and what each that failed says."""
    rest = {name: value for name, value in os.environ.items() if name not in {*VARIABLES, "REQUESTS_CA_BUNDLE"}}
    own = {
        "RESULTSTORE_BLOBS_URL": "s3://bucket/root",
        "RESULTSTORE_S3_ENDPOINT": minio.endpoint,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENTS],
        env={**rest, **own, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    tried, said = json.loads(done.stdout)
    return tried, said


@pytest.mark.parametrize("names", [VARIABLES[:1], VARIABLES[1:], VARIABLES])
def test_one_variable_serves_every_client(secure, names):
    minio, certificate = secure

    _, said = failures(minio, **dict.fromkeys(names, certificate))

    assert said == {}


def test_without_the_authority_each_client_names_the_variable(secure):
    tried, said = failures(secure[0])

    assert [name for name in tried if name not in said] == []
    assert [name for name, text in said.items() if name != "MinIO's SDK" and "SSL_CERT_FILE" not in text] == []


@pytest.mark.parametrize(("name", "use"), [("AWS_CA_BUNDLE", for_obstore), ("SSL_CERT_FILE", for_boto)])
def test_a_file_that_cannot_be_read_is_named(monkeypatch, tmp_path, name, use):
    for one in VARIABLES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, str(tmp_path / "none.pem"))

    for look in (use, tls_context):
        with pytest.raises(Misconfigured, match=rf"{name} names .*none\.pem"):
            look()


def test_a_file_without_certificates_is_named(monkeypatch, tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "empty.pem"))

    with pytest.raises(Misconfigured, match="AWS_CA_BUNDLE"):
        tls_context()
