"""Steps that several browser tests share."""

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
from resultstore_tasks.samples import photos, wine
from tests.browser.conftest import Stage, shot

CARD_WORDS = ".card-title"
SETTLE_MS = 50  # until transitions have ended: axe measures contrast
SERIOUS = {"serious", "critical"}


def photo(name: str = "flower.jpg") -> dict[str, object]:
    """Return a real photo in the form that Playwright's file chooser takes."""
    found = next(one for one in photos() if one.file_name == "flower.jpg")
    return {"name": name, "mimeType": found.media_type, "buffer": found.content}


def table(name: str = "wine.csv") -> dict[str, object]:
    """Return a real CSV table."""
    return {"name": name, "mimeType": "text/csv", "buffer": wine().content}


def large_table(folder: Path, name: str, *, size_bytes: int = 17_500_000) -> Path:
    """Write a table of differing rows that is uploaded in three parts."""
    path = folder / name
    numbers = random.Random(7)
    head = "".join(f"{numbers.getrandbits(30)},{numbers.getrandbits(30)}\n" for _ in range(20_000))
    with path.open("w") as file:
        file.write("one,two\n")
        while file.tell() < size_bytes:
            file.write(f"{file.tell()},0\n{head}")
    return path


def long_report(folder: Path, name: str) -> Path:
    """Write a table just below the limits of the report task, which needs many seconds for it."""
    path = folder / name
    numbers = random.Random(7)
    rows = (",".join(str(numbers.getrandbits(30)) for _ in range(40)) for _ in range(9_900))
    path.write_text("\n".join([",".join(f"column{n}" for n in range(40)), *rows]) + "\n")
    return path


def card(page: Page, name: str) -> Locator:
    """Return the newest card with this name."""
    return page.locator(".card").filter(has=page.get_by_role("button", name=name, exact=True)).first


def wait_done(page: Page, name: str) -> Locator:
    """Wait until the task on this file has succeeded."""
    found = card(page, name)
    expect(found.locator(".pill")).to_have_text("Done")
    return found


def send(page: Page, files: Sequence[dict[str, object]] | dict[str, object] | Path) -> None:
    """Choose files with the page's button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)


def choose_task(page: Page, title: str, verb: str = "Upload") -> None:
    """Choose a task in the dialog."""
    sheet = page.locator("#sheet")
    sheet.get_by_text(title, exact=True).click()
    sheet.get_by_role("button", name=verb).click()


def wait_live(page: Page) -> None:
    """Wait until the page receives changes."""
    expect(page.locator("#health li").filter(has_text="Live").first).to_have_attribute("data-state", "good")


def look(page: Page, name: str) -> None:
    """Take a screenshot and run axe on the page."""
    page.wait_for_timeout(SETTLE_MS)
    shot(page, name)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS]
    assert serious == [], name


def fill(stage: Stage, count: int, *, owner: str) -> list[str]:
    """Store `count` finished Results of an owner, each with a picture."""
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
    """Return a signed Artifact with the bytes of another Result's Artifact."""
    changed = {"id": result_id, "owner": owner, "file_name": f"picture {number:04d}.webp", "mac": ""}
    return stage.store.signatures.sign(msgspec.structs.replace(made, **changed))
