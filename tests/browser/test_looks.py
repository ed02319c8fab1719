"""The page's layout and operation: three widths, light and dark, keyboard only, and axe."""

import re
import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.steps import card, fill, look, photo, send, table, wait_done, wait_live

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


SLOWEST = """() => Math.max(...[...document.querySelectorAll("*")].map((one) => {
  const { transitionDuration, animationDuration } = getComputedStyle(one);
  return Math.max(...`${transitionDuration}, ${animationDuration}`.split(", ").map(parseFloat));
}))"""


@pytest.fixture(scope="module")
def filled(stage, tmp_path_factory):
    """Store a Result of every kind: pictures, a video, a report, a model, a table and a failure."""
    fill(stage, 12, owner="local")
    clip = tmp_path_factory.mktemp("film") / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=2", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(clip)], check=True)
    work = (
        ("report.csv", table(), "pdf.report", {"title": "Wine"}),
        ("model.csv", table(), "models.train", {"target": "cultivar"}),
        ("table.csv", table(), "tables.convert", {}),
        ("broken.jpg", {"mimeType": "image/jpeg", "buffer": photo()["buffer"][:9_000]}, "images.resize", {}),
        ("clip.mp4", {"mimeType": "video/mp4", "buffer": clip.read_bytes()}, "video.preview", {}),
        ("photo.jpg", photo(), "images.resize", {}),
    )
    with stage.http() as client:
        for name, file, task, options in work:
            asked = {"name": name, "size_bytes": len(file["buffer"]), "media_type": file["mimeType"]}
            ticket = (
                client.post("/v1/uploads", json={**asked, "task": task, "options": options}).raise_for_status().json()
            )
            client.put(ticket["url"], content=file["buffer"], headers=ticket["headers"]).raise_for_status()
            client.post(f"/v1/uploads/{ticket['id']}/complete", json={})


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_the_screen_and_passes_axe(visit, filled, width, scheme):
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    for name in ("photo.jpg", "report.csv", "model.csv", "clip.mp4"):
        wait_done(page, name)
    expect(card(page, "photo.jpg").locator("img.loaded").last).to_be_visible()

    look(page, f"page-{width}-{scheme}")
    assert page.evaluate(OVERFLOW) <= 0
    page.locator(".card-title").get_by_text("photo.jpg", exact=True).click()
    expect(page.locator("#drawer img")).to_be_visible()
    look(page, f"drawer-{width}-{scheme}")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    send(page, table("asked.csv"))
    expect(page.locator("#sheet")).to_be_visible()
    look(page, f"sheet-{width}-{scheme}")


def test_each_kind_of_result_shows_what_came_out(visit, filled):
    page = visit(viewport={"width": 1440, "height": 2400})
    expect(card(page, "report.csv").locator("[data-kind=cover]")).to_be_visible()
    for name in ("report.csv", "photo.jpg", "clip.mp4"):
        expect(wait_done(page, name).locator(".frame img.loaded").last).to_be_visible()
    expect(card(page, "clip.mp4").locator(".plays")).to_be_visible()
    expect(card(page, "table.csv").locator(".table-head th").first).to_have_text("alcohol")
    expect(card(page, "model.csv").locator(".model-card .figure")).to_have_text(re.compile(r"^\d+\.\d % accuracy$"))

    facts = card(page, "photo.jpg").locator(".card-facts")
    expect(facts).to_have_text(re.compile(r"^143 KB → \d+ KB · [\d.]+ m?s$"))
    when = card(page, "photo.jpg").locator(".card-when")
    expect(when).to_have_text(re.compile(r"^\d\d:\d\d:\d\d( [AP]M)? · expires in 30 days$"))
    expect(when.locator("time")).to_have_attribute("title", re.compile(r"^Started \w+ \d+, \d{4}.*, ended "))
    card(page, "clip.mp4").locator(".card-title").click()
    expect(page.locator("#drawer video")).to_be_visible()


def test_failure_names_file_reason_and_advice(visit, filled):
    page = visit()

    failed = card(page, "broken.jpg")
    expect(failed.locator(".pill")).to_have_text("Failed")
    page.reload()  # from the record alone
    expect(failed.locator(".card-task")).to_contain_text("cut short")
    failed.locator(".card-title").click()

    expect(page.locator("#drawer-title")).to_have_text("broken.jpg")
    expect(page.locator("#drawer .failure h3")).to_have_text("It cannot be decoded: it is damaged or cut short.")
    expect(page.locator("#drawer .failure")).to_contain_text("Send the whole file.")
    expect(page.locator("#drawer .failure code")).to_be_hidden()
    page.locator("#drawer .failure summary").press("Enter")
    expect(page.locator("#drawer .failure code")).to_contain_text("UploadRejected: image 'broken.jpg' of ")


def test_filters_and_the_search_narrow_what_is_shown(visit, filled):
    page = visit()
    wait_done(page, "photo.jpg")
    shown = page.locator(".card")

    page.locator("#chips").get_by_role("button", name="Failed").click()
    expect(shown.locator(".card-title")).to_have_text(["broken.jpg"])
    page.locator("#chips").get_by_role("button", name="All").click()
    page.locator("#tasks").select_option(label="Train a classifier")
    expect(shown.locator(".card-title")).to_have_text(["model.csv"])
    page.locator("#search").fill("no such thing")
    expect(page.locator("#empty")).to_contain_text("No results match")


def test_dots_show_server_status(visit, stage):
    page = visit(stage.open)
    wait_live(page)

    dots = page.locator("#health li")
    names = [re.compile(f"^{name}: ") for name in ("Live updates", "Server", "Results", "Files", "Tasks")]
    expect(dots).to_have_text(names)
    states = {dots.nth(n).get_attribute("data-state") for n in range(len(names))}
    assert states <= {"good", "slow"}


@pytest.mark.parametrize(("wish", "limit_s"), [("reduce", 0.001), ("no-preference", 2.0)])
def test_reduced_motion_is_respected(visit, filled, wish, limit_s):
    page = visit(reduced_motion=wish)
    expect(page.locator(".card").first).to_be_visible()

    slowest_s = page.evaluate(SLOWEST)

    assert limit_s / 20 < slowest_s <= limit_s


def test_everything_works_by_keyboard_alone(visit, filled):
    page = visit(viewport={"width": 1440, "height": 900})
    wait_done(page, "photo.jpg")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to results"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    page.keyboard.type("picture 00")
    expect(page.locator("#results-sum")).to_contain_text("12 matches")

    page.locator("#sort").focus()
    page.keyboard.press("Tab")
    first = focused(page)
    expect(page.locator(".keys")).to_have_text("Arrow keys move between results, Enter opens one")
    page.keyboard.press("ArrowRight")
    second = focused(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    expect(page.locator(".keys")).to_be_visible()
    assert (first, second, focused(page)) == ("picture 0000.webp", "picture 0001.webp", "picture 0000.webp")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog')?.id") == "drawer"
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    assert focused(page) == "picture 0000.webp", "the keyboard is back where it was"


def test_deletion_can_be_undone_for_a_while(visit, stage, filled):
    page = visit()
    wait_live(page)
    kept, gone = card(page, "picture 0010.webp"), card(page, "picture 0011.webp")
    kept.get_by_role("button", name="Delete").click()
    expect(kept).to_have_count(0)
    page.get_by_role("button", name="Undo").press("Enter")
    expect(kept).to_be_visible()

    gone.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Dismiss").click()

    expect(gone).to_have_count(0)
    with stage.http() as client:
        assert client.get("/v1/results/filled-local-0010").status_code == 200
        page.wait_for_function("document.querySelectorAll('.toast').length === 0")
        assert client.get("/v1/results/filled-local-0011").status_code == 404


def test_task_can_run_again(visit, filled):
    page = visit()
    wait_done(page, "photo.jpg")
    before = page.locator(".card").count()

    card(page, "photo.jpg").get_by_role("button", name="Run again").click()

    expect(page.locator(".toast")).to_contain_text("photo.jpg runs again, as a new result.")
    expect(page.locator(".card")).to_have_count(before + 1)
    wait_done(page, "photo.jpg")
    expect(page.locator(".card-title").get_by_text("photo.jpg", exact=True)).to_have_count(2)
    expect(page.locator("#announcer[aria-live=polite]")).to_contain_text("photo.jpg: done")
    page.reload()
    expect(page.locator(".card-title").get_by_text("photo.jpg", exact=True)).to_have_count(2)


def test_drawer_shows_timeline_digests_and_code(visit, filled):
    page = visit()
    wait_done(page, "photo.jpg").locator(".card-title").click()
    drawer = page.locator("#drawer")

    expect(drawer.locator(".timeline")).to_contain_text("Task started")
    expect(drawer.locator(".digest code").first).to_have_text(re.compile("^[0-9a-f]{64}$"))
    expect(drawer.locator(".code")).to_contain_text("curl --fail --location")
    drawer.get_by_role("button", name="Python").click()
    expect(drawer.locator(".code")).to_contain_text("httpx.stream")
    drawer.get_by_role("button", name="Copy link", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Link copied. It is valid until")
    assert page.evaluate("navigator.clipboard.readText()").startswith("http://127.0.0.1:")


def focused(page):
    return page.evaluate("document.activeElement.textContent")


def test_preview_of_a_table_reads_windows_1252(visit):
    page = visit()

    rows = page.evaluate(
        """async (bytes) => {
            const { rowsOf, textOf } = await import("/page/previews.js");
            return rowsOf(textOf(new Uint8Array(bytes).buffer));
        }""",
        list("sep=;\r\nOrt;Müller & Söhne\r\nKöln;1\r\n".encode("windows-1252")),
    )

    assert rows == [["Ort", "Müller & Söhne"], ["Köln", "1"]]
