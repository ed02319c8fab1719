"""Headers: what the message of a task says about its Result, the same for every task queue."""

from collections.abc import Mapping, MutableMapping
from typing import Final

OWNER_HEADER: Final = "resultstore_owner"
"""Names the owner of the Result: a header in Celery, an option in Dramatiq, a label in taskiq."""


def owner_in(headers: Mapping[str, object]) -> str:
    """Return the owner that a message names, or "" for none."""
    owner = headers.get(OWNER_HEADER)
    return owner if isinstance(owner, str) else ""


def set_default_owner(headers: MutableMapping[str, object], owner: str) -> None:
    """Write `owner` into a message that names none."""
    if owner and not headers.get(OWNER_HEADER):
        headers[OWNER_HEADER] = owner
