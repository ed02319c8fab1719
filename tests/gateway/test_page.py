"""The served page: only its own files, under a strict Content-Security-Policy."""

import re
from pathlib import Path

import pytest

from resultstore.gateway.page import content_security_policy

FOLDER = Path(__file__).resolve().parents[2] / "resultstore" / "gateway" / "page"
FILES = sorted(one.name for one in FOLDER.iterdir())
MODULES = [name for name in FILES if name.endswith(".js")]
MAX_FILE_LINES = 300
WAYS_TO_MARKUP = re.compile(r"\.(inner|outer)HTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function")
KEEPS = re.compile(r"localStorage|document\.cookie|indexedDB")


def test_page_policy_forbids_inline_code_and_other_origins(served):
    answer = served.gateway.get("/")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    origin = str(served.bytes.base_url).rstrip("/")
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["connect-src"] == rules["media-src"] == f"'self' {origin}"
    assert rules["img-src"] == f"'self' blob: {origin}"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["trusted-types"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"


def test_policy_without_object_store_names_own_origin_only():
    assert "http" not in content_security_policy(None)


def test_page_files_have_media_type_and_etag(served):
    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in FILES:
        answer = served.gateway.get(f"/page/{name}")
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].split(";")[0] == types[name.rpartition(".")[2]]
        again = served.gateway.get(f"/page/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_a_name_never_becomes_a_path(served):
    for name in ("none.js", "..%2Fpage.py", "%2e%2e%2fapp.py", "%2e", "page.css%00"):
        answer = served.gateway.get(f"/page/{name}")
        assert (answer.status_code, answer.json()["slug"]) == (404, "no-such-path"), name


def test_markup_has_no_inline_code_or_foreign_urls():
    markup = (FOLDER / "index.html").read_text()

    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", markup) == []
    assert set(re.findall(r'(?:src|href)="page/([^"]+)"', markup)) == {"mark.svg", "page.css", "main.js"}
    assert re.findall(r"url\(|@import", (FOLDER / "page.css").read_text()) == []


@pytest.mark.parametrize("name", MODULES)
def test_scripts_avoid_markup_cookies_and_long_files(name):
    code = (FOLDER / name).read_text()

    assert WAYS_TO_MARKUP.findall(code) == []
    assert KEEPS.findall(code) == []
    assert len(code.splitlines()) <= MAX_FILE_LINES
    assert re.match(r"// [A-Z][a-z ]+: .+", code), "a module opens with its noun and one sentence"
    assert set(re.findall(r'from "\./([^"]+)"', code)) <= set(MODULES)


def test_only_the_api_knows_the_token():
    users = {name for name in MODULES if "sessionStorage" in (FOLDER / name).read_text()}

    assert users == {"api.js"}
