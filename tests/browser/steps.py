"""Steps: what the browser's tests do again and again."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyvips
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from resultstore import Result, State
from resultstore.model.artifact import Artifact
from tasks.samples import photos, wine
from tests.browser.conftest import Stage, shot

CARD_WORDS = ".card-title"
STILL_MS = 50  # until it stands still: axe measures contrast
SERIOUS = {"serious", "critical"}


def photo(name: str = "flower.jpg") -> dict[str, object]:
    """A real photo as Playwright's file chooser takes it."""
    found = next(one for one in photos() if one.file_name == "flower.jpg")
    return {"name": name, "mimeType": found.media_type, "buffer": found.content}


def table(name: str = "wine.csv") -> dict[str, object]:
    """A real table."""
    return {"name": name, "mimeType": "text/csv", "buffer": wine().content}


def large_table(folder: Path, name: str, *, size_bytes: int = 17_500_000) -> Path:
    """A table that has to be sent in three parts, of rows that differ."""
    path = folder / name
    numbers = random.Random(7)
    head = "".join(f"{numbers.getrandbits(30)},{numbers.getrandbits(30)}\n" for _ in range(20_000))
    with path.open("w") as file:
        file.write("one,two\n")
        while file.tell() < size_bytes:
            file.write(f"{file.tell()},0\n{head}")
    return path


def long_report(folder: Path, name: str) -> Path:
    """A table just within the caps of the report, which takes many seconds of it."""
    path = folder / name
    numbers = random.Random(7)
    rows = (",".join(str(numbers.getrandbits(30)) for _ in range(40)) for _ in range(9_900))
    path.write_text("\n".join([",".join(f"column{n}" for n in range(40)), *rows]) + "\n")
    return path


def card(page: Page, name: str) -> Locator:
    """The newest card of that name."""
    return page.locator(".card").filter(has=page.get_by_role("button", name=name, exact=True)).first


def wait_done(page: Page, name: str) -> Locator:
    """Wait until the work on that file has ended well."""
    found = card(page, name)
    expect(found.locator(".pill")).to_have_text("Done")
    return found


def send(page: Page, files: Sequence[dict[str, object]] | dict[str, object] | Path) -> None:
    """Choose files by the page's button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)


def choose_task(page: Page, title: str, verb: str = "Upload") -> None:
    """Answer the question what shall be done."""
    sheet = page.locator("#sheet")
    sheet.get_by_text(title, exact=True).click()
    sheet.get_by_role("button", name=verb).click()


def wait_live(page: Page) -> None:
    """Wait until the page hears of changes."""
    expect(page.locator("#health li").filter(has_text="Live").first).to_have_attribute("data-state", "good")


def look(page: Page, name: str) -> None:
    """Keep a picture of it, and let axe judge it."""
    page.wait_for_timeout(STILL_MS)
    shot(page, name)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS]
    assert serious == [], name


def fill(stage: Stage, count: int, *, owner: str) -> list[str]:
    """Put `count` finished Results with a picture each before an owner, as if tasks had made them."""
    encoded = pyvips.Image.thumbnail_buffer(bytes(photo()["buffer"]), 640).webpsave_buffer()
    made = stage.store.put(
        encoded, name="picture.webp", media_type="image/webp", metadata={"width": 640, "height": 427}
    )
    now = time.time()
    ids = [f"filled-{owner}-{number:04d}" for number in range(count)]
    for number, result_id in enumerate(ids):
        at = now - 60 * number - 3600
        result = Result(
            id=result_id,
            state=State.SUCCESS,
            task="images.resize",
            owner=owner,
            artifacts=(own(stage, made, result_id=result_id, owner=owner, number=number),),
            created_at=at,
            started_at=at + 0.1,
            ended_at=at + 0.9,
        )
        stage.store.save(result)
    return ids


def own(stage: Stage, made: Artifact, *, result_id: str, owner: str, number: int) -> Artifact:
    """The same bytes as another Result's Artifact, signed as the store signs them."""
    changed = {"id": result_id, "owner": owner, "file_name": f"picture {number:04d}.webp", "mac": ""}
    return stage.store.trust.signed(msgspec.structs.replace(made, **changed))
