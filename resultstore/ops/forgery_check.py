"""Forgeable: refuses a store that carries out writes which nobody signed."""

from resultstore.blobs.s3.forgery import FORGERY_REMEDY
from resultstore.connect import connect_forgers, connect_probes
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log

_log = Log(__name__)
_ACCEPT = "RESULTSTORE_ACCEPT_FORGEABLE_STORE=true"
_SIGN_WITH_LESS = "sign with a key that may write below uploads/ alone (`resultstore setup minio` makes it)"


def refuse_forgeable(settings: Settings) -> None:
    """Raise Misconfigured if the store carries out unsigned writes, unless `accept_forgeable_store` is set."""
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
    """Raise Misconfigured if whoever has seen a presigned URL can write more than uploads.

    The id of the access key that signs stands in each URL. On a store that carries out unsigned writes it is all that
    a write needs. Does nothing with `accept_forgeable_store`.
    """
    if settings.security.accept_forgeable_store:
        return
    for signs, forger in connect_forgers(settings).items():
        reach = forger.reach()
        if not reach:
            continue
        text = (
            f"the store carries out writes that nobody signed (CVE-2026-41145), and the access key {forger.key_id!r} "
            f"that signs {signs} may write to {', '.join(reach)}: whoever has seen one URL can overwrite results"
        )
        raise Misconfigured(f"{text}; {_SIGN_WITH_LESS}, {FORGERY_REMEDY}, or set {_ACCEPT}")
