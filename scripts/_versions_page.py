"""The page of tested versions, made from tests/versions.toml and the results kept in tests/versions.json."""

from collections.abc import Iterator

from _combinations import ROOT, Result, combinations, kept_results

FILE = "versions.md"
PAGE = ROOT / "docs" / "reference" / FILE
HEAD = "<!-- Made by `make versions` from tests/versions.json. -->\n\n"
TITLE = "Tested versions"
LEAD = """\
`make versions` runs a selection of the tests with each of these combinations, on real servers, and writes this
page. `make versions ONLY="celery-5.4.0 redis-8.0"` runs those that it names. The selections and what each combination
consists of are in `tests/versions.toml`. CI runs the whole test suite with the newest versions, and a selection with
the oldest Celery. Celery's own integration suites are run by [`make conformance`](../conformance.md).
"""
COLUMNS = ("combination", "Python", "Celery, kombu", "Dramatiq", "taskiq", "redis-py", "server", "broker")


def page() -> str:
    """Return the page without its head."""
    return f"# {TITLE}\n\n{LEAD}\n" + "\n".join(_rows()) + "\n"


def with_head() -> str:
    """Return the file as it is committed."""
    return HEAD + page()


def in_words(result: Result) -> str:
    """Return how a combination ended, in a few words."""
    if result["outcome"] in {"not tested", "timed out"}:
        return f"{result['outcome']}: {result['why']}"
    if "tests" not in result:
        return f"failed: {result['why']}"
    counts = ", ".join(f"{count} {word}" for word, count in result["tests"].items())
    return " ".join([f"{counts}, in {result['took_s'] / 60:.1f} minutes", *result.get("failed", [])[:3]])


def _rows() -> Iterator[str]:
    yield f"| {' | '.join([*COLUMNS, 'result', 'date'])} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    kept = kept_results()
    for name, one in combinations().items():
        if one.apart:
            continue
        result = kept.get(name, {"outcome": "not tested", "why": "not run yet", "date": ""})
        found = result.get("found", {})
        celery = f"{found['celery']}, {found['kombu']}" if found else ""
        cells = [name, found.get("python", ""), celery, *(found.get(key, "") for key in ("dramatiq", "taskiq"))]
        cells += [found.get(key, "") for key in ("redis", "server", "broker")]
        words = "; ".join(filter(None, [in_words(result).replace("|", " "), one.note]))
        yield f"| {' | '.join([*cells, words, result['date']])} |"
