"""Path prefix: the page and every link of a gateway stay below its path."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from resultstore import State
from resultstore.gateway.results import fast_path
from resultstore.model.result import Result
from tests.gateway.conftest import Orders
from tests.gateway.results.test_foreign_ids import sealed
from tests.gateway.test_own_server import made, plainly_served

PREFIX = "/files/results"
PAGE = Path(__file__).resolve().parents[3] / "resultstore" / "gateway" / "page"
PICTURE = {"name": "a.png", "size_bytes": 5, "media_type": "image/png", "task": "shrink"}
PARTS = {"name": "a.png", "media_type": "image/png", "task": "shrink", "size_bytes": 900_000}


def mounted(app: FastAPI) -> tuple[FastAPI, dict[str, object]]:
    outer = FastAPI()
    outer.mount(PREFIX, app)
    return outer, {}


def told_of_it(app: FastAPI) -> tuple[FastAPI, dict[str, object]]:
    return app, {"root_path": PREFIX}  # as `uvicorn --root-path`, for a proxy that strips the prefix


HOW = {"mounted": (mounted, PREFIX), "root path": (told_of_it, "")}


@pytest.fixture(params=HOW)
def below(request, tmp_path, orders) -> Iterator[tuple[Orders, httpx.Client]]:
    """Serve a gateway below PREFIX, with a client for its root."""
    place, seen_at = HOW[request.param]
    app, config = place(made(tmp_path, orders, secret_key="k" * 32))
    with plainly_served(app, **config) as url, httpx.Client(base_url=url + seen_at) as client:
        yield orders, client


def links_in(view: object) -> list[str]:
    return re.findall(r'"link": "([^"]+)"', json.dumps(view))


def test_links_of_results_stay_below_it(below):
    orders, client = below
    done = sealed(orders.store, "local")
    link = f"{PREFIX}/v1/results/{done}/artifacts/out.txt"

    one = client.get(f"/v1/results/{done}")
    asked = client.get(f"/v1/results/{done}", params={"x": "1"})
    listed = client.get("/v1/results")
    with client.stream("GET", "/v1/events") as stream:
        snapshot = next(stream.iter_raw()).decode().partition("data: ")[2]

    assert [links_in(view) for view in (one.json(), asked.json(), listed.json(), json.loads(snapshot))] == [[link]] * 4
    led = client.get(link.removeprefix(PREFIX) if client.base_url.path == "/" else urljoin(str(client.base_url), link))
    assert led.status_code == 302


def test_places_of_what_was_made_stay_below_it(below):
    orders, client = below
    started = client.post("/v1/tasks/greet", json={"arguments": {"name": "ann"}})
    orders.store.save(Result(id=started.json()["id"], task="greet", owner="local", state=State.FAILURE))
    begun = client.post("/v1/uploads", json=PICTURE)
    answers = [
        started,
        client.post(f"/v1/results/{started.json()['id']}/retry", json={}),
        client.post(f"/v1/results/{started.json()['id']}/cancel", json={}),
        begun,
    ]

    assert [one.status_code for one in answers] == [202, 202, 202, 201]
    for one in answers:
        kind = "uploads" if one is begun else "results"
        assert one.headers["location"] == f"{PREFIX}/v1/{kind}/{one.json()['id']}"


def test_uppys_signed_urls_stay_below_it(below):
    # given the first request of an upload in parts, whose body an S3 client makes as it likes
    _, client = below
    asked = {"method": "POST", "key": "a.png", "upload": PARTS}

    signed = client.post("/v1/uppy/sign", json=asked).json()["url"]
    path = signed if client.base_url.path != "/" else signed.removeprefix(PREFIX)
    begun = client.post(urljoin(str(client.base_url), path), content=b"<x/>", headers={"Content-Type": "text/xml"})

    assert signed.startswith(f"{PREFIX}/v1/uppy/uploads/")
    assert begun.status_code == 200, begun.text


def test_fast_path_works_below_the_prefix(below, monkeypatch):
    orders, client = below
    orders.store.save(Result(id="runs", owner="local", state=State.STARTED))
    fast = []
    segments = fast_path._path_segments
    monkeypatch.setattr(fast_path, "_path_segments", lambda scope: (fast.append(segments(scope)), segments(scope))[1])

    assert client.get("/v1/results/runs").status_code == 200
    assert fast == [["runs"]]


def test_the_page_asks_below_it_only(below):
    _, client = below
    root = str(client.base_url).rstrip("/") + "/"
    page = client.get("/")

    assert page.status_code == 200
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        assert client.get(urljoin(root, name)).status_code == 200
    for module in PAGE.glob("*.js"):
        code = re.sub(r"/\*\*.*?\*/", "", module.read_text(), flags=re.DOTALL)
        assert re.findall(r"""["'`]/(?:v1|page|readyz|livez)\b""", code) == [], module.name


@pytest.mark.parametrize("url", ["https://files.example{}", "https://files.example{}/", "http://127.0.0.1:1{}"])
def test_public_url_determines_the_prefix_without_root_path(tmp_path, orders, url):
    app = made(tmp_path, orders, secret_key="k" * 32, gateway_url=url.format(PREFIX))
    at = urlsplit(url.format(PREFIX))
    done = sealed(orders.store, "local")
    with plainly_served(app) as served:
        view = httpx.get(f"{served}/v1/results/{done}").json()
        asked = {"method": "POST", "key": "a.png", "upload": PARTS}
        signed = httpx.post(f"{served}/v1/uppy/sign", json=asked).json()["url"]

    assert links_in(view) == [f"{PREFIX}/v1/results/{done}/artifacts/out.txt"]
    assert signed.startswith(f"{at.scheme}://{at.netloc}{PREFIX}/v1/uppy/")


def test_without_one_links_begin_at_the_root(tmp_path, orders):
    app = made(tmp_path, orders)
    done = sealed(orders.store, "local")
    with plainly_served(app) as served:
        assert links_in(httpx.get(f"{served}/v1/results/{done}").json()) == [f"/v1/results/{done}/artifacts/out.txt"]
