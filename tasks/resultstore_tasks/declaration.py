"""ShippedOffer: the one declaration of a shipped task, light enough for the gateway to import."""

from typing import Final

from resultstore import Offer

MIB: Final = 1024 * 1024


class ShippedOffer(Offer, frozen=True, kw_only=True):
    """Offer of a shipped task: its options with their defaults, its media types and its largest upload.

    Define it in `resultstore_tasks/<kind>/offer.py`, which must import no library that the task needs for its work.
    Register the function with `resultstore_tasks.arguments.offered` in `resultstore_tasks/<kind>/task.py`.

    Args:
        position: where the task is listed in `/v1/tasks` and on the page; the lowest comes first.
    """

    position: int
