"""The OpenAPI description: every field, every route, and every error as it is sent."""

import json
import re
from http import HTTPStatus
from pathlib import Path

import resultstore.gateway
from resultstore.gateway.problems import SLUGS

HERE = Path(resultstore.gateway.__file__).parent
TABLE = HERE / "problems.py"
# `HTTPStatus.X, "slug"`, also over two lines: the form of every refusal in the gateway.
NAMED = re.compile(r'HTTPStatus\.([A-Z_]+),\s*"([a-z-]+)"')


def test_description_is_openapi_3_1_with_fields(served):
    document = served.gateway.get("/v1/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    assert "/v1/results/{result_id}" in document["paths"]
    assert "sha256" in json.dumps(document["components"]["schemas"]["ArtifactView"])


def test_every_route_has_summary_and_description(served):
    document = served.gateway.get("/v1/openapi.json").json()

    for path, operations in {**document["paths"], **document["webhooks"]}.items():
        for method, operation in operations.items():
            assert len(operation["summary"].split()) >= 2, (method, path)
            assert operation["description"], (method, path)


def test_every_route_describes_its_problems(served):
    document = served.gateway.get("/v1/openapi.json").json()

    for path, operations in document["paths"].items():
        for operation in operations.values() if path.startswith("/v1/") else ():
            for status, answer in operation["responses"].items():
                assert int(status) < 400 or list(answer["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in json.dumps(document)
    refs = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert refs <= set(document["components"]["schemas"])


def test_what_is_sent_is_what_is_described(served):
    problem = served.gateway.get("/v1/openapi.json").json()["components"]["schemas"]["Problem"]
    refused = [
        served.gateway.get("/v1/results/none"),
        served.gateway.get("/v1/results?limit=0"),
        served.gateway.get("/v1/nothing"),
        served.gateway.post("/v1/tasks/greet", content=b"{", headers={"Content-Type": "application/json"}),
        served.gateway.get("/v1/results", headers={"Host": "evil.example"}),
    ]

    for answer in refused:
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == set(problem["required"])
        assert answer.json()["slug"] in problem["properties"]["slug"]["enum"]
        assert answer.json()["status"] == answer.status_code == SLUGS[answer.json()["slug"]]


def test_no_slug_is_left_out():
    used = {found for file in HERE.rglob("*.py") if file != TABLE for found in NAMED.findall(file.read_text())}

    assert len(used) > 15
    assert {(HTTPStatus[status], slug) for status, slug in used} <= {(status, slug) for slug, status in SLUGS.items()}
