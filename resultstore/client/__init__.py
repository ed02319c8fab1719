"""A client of the gateway: uploads, tasks, events and verified downloads over HTTP alone."""

from resultstore.client.answers import RemoteArtifact, RemoteEvent, RemoteFailure, RemoteProgress, RemoteResult
from resultstore.client.gateway_client import GatewayClient
from resultstore.client.requests import GatewayUnavailable, RequestRefused

__all__ = [
    "GatewayClient",
    "GatewayUnavailable",
    "RemoteArtifact",
    "RemoteEvent",
    "RemoteFailure",
    "RemoteProgress",
    "RemoteResult",
    "RequestRefused",
]
