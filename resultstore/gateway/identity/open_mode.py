"""OpenMode: everybody who reaches the gateway is its one owner; for a gateway that only this machine reaches."""

from typing import Final

from resultstore.gateway.identity.caller import SCOPES, Caller

LOCAL: Final = Caller(owner="local", scopes=SCOPES)


class OpenMode:
    """Asks for no token."""

    mode: Final = "open"

    async def caller(self, authorization: str) -> Caller:  # noqa: ARG002  nobody is asked who he is
        """The local owner, whatever is sent."""
        return LOCAL
