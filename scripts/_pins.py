"""Pins: what constraints.txt and the files in constraints/ say of each distribution."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
VARIANTS = ROOT / "constraints"


def pins_of(text: str) -> dict[str, str]:
    """Return the pins of each distribution by its name, as written, with hashes; one may have several, by markers."""
    pins: dict[str, str] = {}
    for found in re.finditer(r"(?m)^(?P<name>[\w.-]+)(?:\[[^\]]*\])?==.*\n(?:[ \t].*\n?)*", text):
        name = found["name"].lower()
        pins[name] = pins.get(name, "") + found[0]
    return pins


def version_pinned(name: str, text: str) -> str:
    """Return the version of a distribution that `text` pins, or an empty string."""
    found = re.search(rf"(?m)^{re.escape(name)}==([^ ;]+)", text)
    return found[1] if found else ""
