"""Forgery check: refuses a store that executes unsigned writes (CVE-2026-41145)."""

from resultstore.blobs.s3.forgery import FORGERY_REMEDY
from resultstore.connect import connect_forgers, connect_probes
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log

_log = Log(__name__)
_ACCEPT = "RESULTSTORE_ACCEPT_FORGEABLE_STORE=true"
_SIGN_WITH_LESS = "sign with a key that may write only below uploads/ (`resultstore setup minio` creates it)"


def refuse_forgeable(settings: Settings) -> None:
    """Raise Misconfigured if the store executes unsigned writes, unless `accept_forgeable_store` is set."""
    probes = connect_probes(settings)
    if probes is None:
        return
    found = probes.refuses_unsigned_writes()
    if found.ok:
        return
    if not settings.security.accept_forgeable_store:
        raise Misconfigured(f"{found.detail}: {found.remedy}; {_ACCEPT} uses it as it is")
    _log.warning("forgeable_store_accepted", detail=found.detail, remedy=found.remedy)


def refuse_forgeable_signing(settings: Settings) -> None:
    """Raise Misconfigured if anyone who has seen a presigned URL can write more than uploads.

    Each URL contains the id of the signing access key, and a store that executes unsigned writes needs no more than
    that id. Does nothing with `accept_forgeable_store`.
    """
    if settings.security.accept_forgeable_store:
        return
    for signs, forger in connect_forgers(settings).items():
        reach = forger.reach()
        if not reach:
            continue
        text = (
            f"the store executes unsigned writes (CVE-2026-41145), and the access key {forger.key_id!r} "
            f"that signs {signs} may write to {', '.join(reach)}: anyone who has seen one URL can overwrite results"
        )
        raise Misconfigured(f"{text}; {_SIGN_WITH_LESS}, {FORGERY_REMEDY}, or set {_ACCEPT}")
