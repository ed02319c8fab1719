"""Forms of an Artifact: JSON, pydantic and FastAPI, its repr, and the HTML of a notebook."""

import json
import subprocess
import sys

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter, ValidationError

from resultstore import Artifact, BadReference, Settings, connect

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fccfc0500f0004850180"
    "84a98c210000000049454e44ae426082"
)
ATTACK = '"><script>alert(1)</script>'


@pytest.fixture
def store():
    settings = Settings(
        index_url="memory://", blobs_url="memory://", secret_key="k" * 32, gateway_url="https://g.test/"
    )
    return connect(settings)


@pytest.fixture
def artifact(store) -> Artifact:
    return store.put(b"a,b\n1,2\n", name="a.csv", id="one", metadata={"rows": 1, "share": 0.5, "ok": True, "no": None})


def test_json_form_gives_back_an_equal_artifact(store, artifact):
    again = Artifact.from_dict(json.loads(json.dumps(artifact.as_dict())))
    assert again == artifact
    assert store.open(again).read() == b"a,b\n1,2\n"


@pytest.mark.parametrize("given", [None, "text", [], {}, {"id": 1}])
def test_other_json_is_refused(given):
    with pytest.raises(BadReference, match="as_dict"):
        Artifact.from_dict(given)


def test_changed_json_is_refused_by_the_store(store, artifact):
    forged = Artifact.from_dict({**artifact.as_dict(), "size_bytes": 3})
    with pytest.raises(BadReference):
        store.open(forged)


def test_fastapi_route_returns_and_takes_it(store, artifact):
    class Invoice(BaseModel):
        number: int
        file: Artifact

    app = FastAPI()

    @app.get("/file")
    def file() -> Artifact:
        return artifact

    @app.get("/invoice")
    def invoice() -> Invoice:
        return Invoice(number=7, file=artifact)

    @app.post("/size")
    def size(invoice: Invoice) -> int:
        return len(store.open(invoice.file).read())

    with TestClient(app) as client:
        assert Artifact.from_dict(client.get("/file").json()) == artifact
        assert client.post("/size", json=client.get("/invoice").json()).json() == 8
        assert client.post("/size", json={"number": 7, "file": {"id": "one"}}).status_code == 422
        schema = client.get("/openapi.json").json()
    shown = json.dumps(schema)
    assert '"size_bytes"' in shown
    assert '"media_type"' in shown


def test_json_schema_accepts_the_json_form(artifact):
    import jsonschema  # noqa: PLC0415 - here only

    for mode in ("validation", "serialization"):
        schema = TypeAdapter(Artifact).json_schema(mode=mode)
        jsonschema.validate(artifact.as_dict(), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**artifact.as_dict(), "size_bytes": "many"}, schema)


def test_pydantic_says_what_does_not_fit():
    with pytest.raises(ValidationError, match="an Artifact is needed"):
        TypeAdapter(Artifact).validate_python({"id": 3})


def test_import_loads_no_pydantic():
    program = "import sys, resultstore; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_repr_is_short_and_has_no_secret(artifact):
    assert repr(artifact) == "Artifact(id='one', name='a.csv', size_bytes=8, media_type='text/csv')"
    assert str(artifact) == repr(artifact)
    for secret in (artifact.key, artifact.mac):
        assert secret
        assert secret not in repr([artifact])


def test_html_has_a_preview_and_a_link(artifact):
    html = artifact._repr_html_()
    assert "<pre>a,b\n1,2\n</pre>" in html
    assert 'href="https://g.test/v1/results/one/artifacts/a.csv"' in html
    for secret in (artifact.key, artifact.mac, artifact.sha256, "k" * 32, "X-Amz", "sig"):
        assert secret not in html


def test_html_shows_a_small_image(store):
    html = store.put(PNG, name="dot.png")._repr_html_()
    assert '<img alt="" style="max-width:320px" src="data:image/png;base64,iVBOR' in html


def test_html_escapes_everything(store):
    artifact = store.put(ATTACK.encode(), name="x.html", id=ATTACK, metadata={ATTACK: ATTACK})
    shown = msgspec.structs.replace(artifact, file_name=ATTACK, name=ATTACK, media_type=ATTACK)
    for one in (artifact, store.signatures.sign(shown)):
        html = one._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_html_without_content_shows_facts(store, artifact):
    store.delete("one")
    assert "8 bytes" in artifact._repr_html_()
    assert "<pre>" not in artifact._repr_html_()
