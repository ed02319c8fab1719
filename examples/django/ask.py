"""Client: does what a browser would: makes a report, downloads it, and sends it again from the admin."""

import re
import sys
import time

import httpx

ADMIN = ("admin", "only-for-this-example")


def main(origin: str) -> None:
    """Run all steps against the project at `origin`."""
    with httpx.Client(base_url=origin, follow_redirects=True, timeout=30) as browser:
        sent = browser.post("/reports/", data={"year": 2026, "rows": 50_000}).json()["id"]
        print("state:", finished(browser, sent))
        answer = browser.get(f"/reports/{sent}/download/")
        own = (answer.url.scheme, answer.url.netloc) == (browser.base_url.scheme, browser.base_url.netloc)
        print(f"{len(answer.content)} bytes from {'Django' if own else 'the object store'}")

        log_in(browser)
        page = browser.get("/admin/shop/report/").text
        print("listed:", sent in page and "orders-2026.csv" in page)
        again = browser.post(f"/admin/shop/report/{sent}/retry/", headers=token(browser)).text
        new = re.search(r"[Ss]ent again as ([\w-]+)", again)
        print("again:", finished(browser, new[1]) if new else "refused")


def finished(browser: httpx.Client, result_id: str) -> str:
    """Wait for a report, and return its final state."""
    for _ in range(600):
        state = browser.get(f"/reports/{result_id}/").json()["state"]
        if state in {"SUCCESS", "FAILURE", "REVOKED"}:
            return state
        time.sleep(0.1)
    return "unfinished"


def log_in(browser: httpx.Client) -> None:
    """Log in as a browser does: the form's cookie is returned as a field."""
    browser.get("/admin/login/")
    name, password = ADMIN
    form = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    browser.post("/admin/login/", data=form)


def token(browser: httpx.Client) -> dict[str, str]:
    """Return the header that a script of the page would send."""
    return {"X-CSRFToken": browser.cookies["csrftoken"]}


main(sys.argv[1])
