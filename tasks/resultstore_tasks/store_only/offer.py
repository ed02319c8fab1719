"""Offer of `files.store_only`."""

from typing import Final

from resultstore import Options
from resultstore_tasks.declaration import MIB, ShippedOffer


class StoreOnly(Options):
    """Of `files.store_only`, which has no options."""


STORE_ONLY: Final = ShippedOffer(
    task="files.store_only",
    title="Store only",
    description="Keeps the file as it is, of any type. Pictures and PDFs get a small preview.",
    takes=("*/*",),
    max_bytes=16 * 1024 * MIB,
    arguments=StoreOnly,
    position=100,
)
