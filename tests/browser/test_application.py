"""The page inside an application: by its cookie, by its own page to sign in, and by a token in a link."""

import html
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import expect

from resultstore.gateway import Caller, create_app
from tests.gateway.conftest import OFFERS, Orders
from tests.gateway.results.test_foreign_ids import sealed
from tests.gateway.test_own_server import made, plainly_served

ANN = Caller("ann", frozenset({"read"}))


def by_cookie(request):
    return ANN if request.cookies.get("session") == "s-ann" else None


def by_token(request):
    return ANN if request.headers.get("authorization") == "Bearer t-ann" else None


def gateway(tmp_path, identify, **settings):
    """Return an application with a gateway below /files, and the id of a Result of ann."""
    orders, outer = Orders(), FastAPI()
    store = made(tmp_path, orders, secret_key="k" * 32, **settings).state.store
    outer.mount("/files", create_app(store, dispatcher=orders, offers=OFFERS, identify=identify))
    return outer, sealed(orders.store, "ann")


@pytest.fixture
def application():
    """An application at another origin, whose page links to `to`."""
    app = FastAPI()

    @app.get("/links")
    def links(to: str) -> HTMLResponse:
        to = html.escape(to)
        return HTMLResponse(f'<a href="{to}">Files</a><a href="{to}" referrerpolicy="no-referrer">Without referrer</a>')

    with plainly_served(app) as url:
        yield url


@pytest.fixture
def page(chromium):
    with chromium.new_context() as context:
        page = context.new_page()
        yield page
        page.close()


def follow(page, application: str, link: str, *, name: str = "Files") -> list[str]:
    """Follow a link of the application; return what the browser requested on the way."""
    seen = []
    page.on("request", lambda one: seen.append(one.url))
    page.goto(f"{application}/links?to={quote(link)}")
    seen.clear()
    page.get_by_role("link", name=name, exact=True).click()
    return seen


def test_the_applications_cookie_signs_in(tmp_path, page):
    outer, done = gateway(tmp_path, by_cookie, sign_in_url="/login?next=files")
    with plainly_served(outer) as url:
        page.goto(f"{url}/files/")
        expect(page.get_by_role("link", name="Sign in")).to_have_attribute("href", "/login?next=files")
        expect(page.get_by_label("Token")).to_have_count(0)

        page.context.add_cookies([{"name": "session", "value": "s-ann", "url": url}])
        page.goto(f"{url}/files/")
        expect(page.locator(f"[data-id='{done}']")).to_be_visible()


def test_a_named_origin_passes_a_token(tmp_path, page, application):
    outer, done = gateway(tmp_path, by_token, token_origins=f"https://other.example {application}")
    with plainly_served(outer) as url:
        seen = follow(page, application, f"{url}/files/#token=t-ann")

        expect(page.locator(f"[data-id='{done}']")).to_be_visible()
        assert page.url == f"{url}/files/"
        assert page.evaluate("sessionStorage.getItem('resultstore.token')") == "t-ann"
        page.go_back()
        page.go_forward()
        assert page.url == f"{url}/files/", "the token is not in the history"
    assert any(one.startswith(f"{url}/files/v1/") for one in seen)
    assert [one for one in seen if one.startswith(url) and "t-ann" in one] == []


@pytest.mark.parametrize(
    ("origins", "name"), [("", "Files"), ("https://other.example", "Files"), ("{application}", "Without referrer")]
)
def test_other_origins_cannot_sign_a_user_in(tmp_path, page, application, origins, name):
    outer, _ = gateway(tmp_path, by_token, token_origins=origins.format(application=application))
    with plainly_served(outer) as url:
        follow(page, application, f"{url}/files/#token=t-ann", name=name)

        expect(page.get_by_label("Token")).to_be_visible()
        assert page.url == f"{url}/files/"
        assert page.evaluate("sessionStorage.length") == 0
