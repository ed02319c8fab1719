"""The published Uppy 5 and 6 in Chromium, with the code of the guide (`make uppy`; needs npm)."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, sync_playwright

from tests.uploads.test_flow import working
from tests.uploads.uppy.bundles import bundle, guide_code
from tests.uploads.uppy.conftest import Scene

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
HTML = '<!doctype html><title>Uppy</title><input type="file"><script type="module" src="/uppy.js"></script>'
UPLOAD = """async () => {
  const [file] = document.querySelector('input').files
  uppy.addFile({ name: file.name, type: file.type, data: file })
  const ended = await uppy.upload()
  return { keys: ended.successful.map((one) => one.response.body.key), failed: ended.failed.map((one) => one.error) }
}"""
PAUSE_ONCE = """() => uppy.once('s3-multipart:part-uploaded', () => {
  uppy.pauseAll()
  setTimeout(() => uppy.resumeAll(), 300)
})"""
SOON_S = 30
both = pytest.mark.parametrize("major", [5, 6])

pytestmark = pytest.mark.timeout(400)


class Browser:
    """A page at the gateway's origin that runs the guide's code and records each request of Uppy."""

    def __init__(self, page: Page, scene: Scene) -> None:
        self.page = page
        self.asked: list[tuple[str, str, int]] = []
        self._scene = scene
        self._origin = str(scene.place.gateway.base_url).rstrip("/")
        page.on("response", lambda answer: self.asked.append((answer.request.method, answer.url, answer.status)))

    def open(self, script: str) -> None:
        token = self._scene.ann.headers.get("authorization", "").removeprefix("Bearer ")
        self.page.add_init_script(f"window.token = {json.dumps(token)}")
        self.page.route("**/uppy.html", lambda route: route.fulfill(content_type="text/html", body=HTML))
        self.page.route("**/uppy.js", lambda route: route.fulfill(content_type="text/javascript", body=script))
        self.page.goto(f"{self._origin}/uppy.html")
        self.page.wait_for_function("window.uppy")

    def upload(self, file: Path) -> dict:
        """Return what Uppy reports at the end."""
        self.page.set_input_files("input", file)
        return self.page.evaluate(UPLOAD)

    def answers(self, method: str, part: str) -> list[int]:
        """Return the statuses of the requests whose URL contains `part`."""
        return [status for verb, url, status in self.asked if verb == method and part in url]


@pytest.fixture
def browser(scene) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        # A page from a route has no address: Chromium would ask for permission to connect to loopback.
        options = ["--disable-features=LocalNetworkAccessChecks", *sandbox]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = chromium.new_page()
        page.set_default_timeout(30_000)
        yield Browser(page, scene)
        chromium.close()


@pytest.fixture
def small(tmp_path, photo) -> Path:
    """Return a JPEG of a few dozen KiB."""
    path = tmp_path / "china.jpg"
    path.write_bytes(photo)
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """Return a JPEG of more than 16 MiB, which Uppy sends in five parts."""
    path = tmp_path_factory.mktemp("photos") / "noise.jpg"
    Image.effect_noise((4800, 3600), 120).convert("RGB").save(path, quality=100)
    assert path.stat().st_size > 17 << 20
    return path


def soon(scene: Scene, key: str, *states: str) -> str | None:
    end = time.monotonic() + SOON_S
    while scene.state(key) not in states and time.monotonic() < end:
        time.sleep(0.1)
    return scene.state(key)


@both
def test_guide_code_uploads_photos_and_gets_previews(scene, browser, small, large, major):
    browser.open(bundle(major, guide_code(major), name="guide"))
    with working(scene.place, small.with_name("worker.log")):
        for photo in (small, large):
            said = browser.upload(photo)

            assert said["failed"] == []
            done = scene.place.store.wait(said["keys"][0], timeout_s=60)
            assert (done.state, done.owner) == ("SUCCESS", "ann"), done.failure
            assert len([one for one in done.artifacts if one.name != "input"]) == 2
    assert [one for one in browser.asked if one[2] >= 400] == []


@both
def test_paused_upload_resumes_with_missing_parts(scene, browser, large, major):
    browser.open(bundle(major, guide_code(major), name="guide"))
    browser.page.evaluate(PAUSE_ONCE)

    said = browser.upload(large)

    assert said["failed"] == []
    assert soon(scene, said["keys"][0], "PENDING") == "PENDING"
    listing = f"/s3/multipart/{_upload_id(browser)}?" if major == 5 else "/parts?"
    assert browser.answers("GET", listing) == [200]


def _upload_id(browser: Browser) -> str:
    [url] = [url for verb, url, _ in browser.asked if verb == "POST" and "/complete?" in url]
    return url.partition("/s3/multipart/")[2].partition("/")[0]


def test_uppy_6_repeats_completion_after_503(scene, browser, large):
    browser.open(bundle(6, guide_code(6), name="guide"))
    cut: list[int] = []

    def answered(route: Route) -> None:
        answer = route.fetch()
        if cut:
            route.fulfill(response=answer)
        else:
            cut.append(answer.status)
            route.fulfill(status=503, body="")

    browser.page.route("**/v1/uppy/uploads/*/complete*", answered)
    said = browser.upload(large)

    assert cut == [200], "the commit was made"
    assert said["failed"] == []
    assert browser.answers("POST", "/v1/uppy/uploads/")[-2:] == [503, 200]
    assert (scene.state(said["keys"][0]), scene.place.waiting()) == ("PENDING", 1)


def test_upload_survives_uppy_5_giving_up(scene, browser, small):
    browser.open(bundle(5, guide_code(5), name="guide"))

    def torn(route: Route) -> None:
        assert route.fetch().status == 200
        route.abort("connectionreset")

    browser.page.route("**/s3/multipart/*/complete*", torn)
    said = browser.upload(small)
    browser.page.wait_for_timeout(500)  # its DELETE, for which Uppy does not wait

    assert len(said["failed"]) == 1
    assert browser.answers("DELETE", "/s3/multipart/") == [200]
    [key] = scene.place.store.ids(owner="ann")
    assert (scene.state(key), scene.place.waiting()) == ("PENDING", 1)


def test_gateway_finds_single_put_of_uppy_5(scene, browser, reconciler, large):
    browser.open(bundle(5, guide_code(5).replace("shouldUseMultipart: true", "shouldUseMultipart: false"), name="put"))
    with reconciler.run_in_background():
        said = browser.upload(large)

        assert said["failed"] == []
        assert soon(scene, said["keys"][0], "PENDING") == "PENDING"
    assert browser.answers("POST", "/s3/") == []


@both
def test_uppy_shows_the_refusal(scene, browser, tmp_path, major):
    browser.open(bundle(major, guide_code(major), name="guide"))
    text = tmp_path / "notes.txt"
    text.write_text("not a photo")

    said = browser.upload(text)

    assert said["keys"] == []
    assert "images.resize takes" in said["failed"][0]
    assert list(scene.place.store.ids(owner="ann")) == []
