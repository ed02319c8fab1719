"""OpenMode: no authentication; every caller is the owner `local`. Only for requests from this machine."""

from typing import Final

from resultstore.gateway.identity.caller import SCOPES, Caller

LOCAL: Final = Caller(owner="local", scopes=SCOPES)


class OpenMode:
    """Accepts every request without a token."""

    mode: Final = "open"

    async def caller(self, authorization: str) -> Caller:  # noqa: ARG002  it is ignored
        """Return the local owner, whatever header is sent."""
        return LOCAL
