"""The page under a path prefix: it loads, shows results, and requests nothing outside that path."""

from urllib.parse import urlsplit

from fastapi import FastAPI
from playwright.sync_api import expect

from tests.gateway.conftest import Orders
from tests.gateway.results.test_foreign_ids import sealed
from tests.gateway.test_own_server import made, plainly_served

PREFIX = "/files/results"


def test_the_page_works_below_a_path(chromium, tmp_path):
    # given a gateway that is mounted in another application
    orders, outer = Orders(), FastAPI()
    app = made(tmp_path, orders)
    outer.mount(PREFIX, app)
    done = sealed(orders.store, "local")
    asked, failed = [], []
    with plainly_served(outer) as url, chromium.new_context() as context:
        page = context.new_page()
        page.on("request", lambda one: asked.append(urlsplit(one.url).path))
        page.on("response", lambda one: failed.append(one.url) if one.status >= 400 else None)

        page.goto(f"{url}{PREFIX}")  # without the slash: the outer application adds it
        card = page.locator(f"[data-id='{done}']")
        expect(card).to_be_visible()

        card.click()
        shown = page.get_by_text(f"{url}{PREFIX}/v1/results/{done}/artifacts/out.txt")
        expect(shown.first).to_be_attached()
        page.close()

    assert failed == []
    assert {one for one in asked if not one.startswith(PREFIX)} <= {"/favicon.ico"}
