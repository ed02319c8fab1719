"""Settings check: unknown variables, addresses that do not resolve, and certificates of private authorities."""

import socket
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from resultstore.blobs.s3.certificates import count_authorities
from resultstore.ops.doctor import Defect, Probe, Verdict
from resultstore.settings import Settings, find_unknown_variables


def settings_probes(settings: Settings) -> dict[str, Probe]:
    """Return the checks of what the settings say, without those of the servers that they name."""
    addresses = {
        "RESULTSTORE_S3_PUBLIC_ENDPOINT": settings.s3.public_endpoint,
        "RESULTSTORE_GATEWAY_URL": settings.gateway.url,
        "RESULTSTORE_BYTES_URL": settings.local_bytes.url,
    }
    given = {name: url for name, url in addresses.items() if url}
    found: dict[str, Probe] = {"settings": check_variables}
    if given:
        found["public addresses"] = partial(check_addresses, given)
    return found | {"certificates": check_certificates}


def check_variables() -> str | Defect:
    """Check that every RESULTSTORE_* variable is the name of a setting."""
    unknown = find_unknown_variables()
    if not unknown:
        return "every RESULTSTORE_* variable is known"
    named = ", ".join(f"{name} (similar: {near})" if near else name for name, near in unknown.items())
    return Defect(f"not read by resultstore: {named}", "correct the name, or remove the variable", Verdict.WARNING)


def check_addresses(addresses: Mapping[str, str]) -> str | Defect:
    """Check that the host of each address that clients use resolves.

    Args:
        addresses: URLs by the variable that sets them.
    """
    for variable, url in addresses.items():
        host = urlsplit(url).hostname
        if not host:
            return Defect(f"{variable} names no host", f"write {variable} as https://host")
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):  # the second: a label that is empty or too long
            return Defect(
                f"{variable}: the host name {host} does not resolve here",
                f"correct {variable}, or the DNS entry; ignore it if only clients can resolve the name",
                Verdict.WARNING,
            )
    return f"{len(addresses)} resolve"


def check_certificates() -> str:
    """Report which authorities are trusted for TLS. Raises Misconfigured if a file cannot be read."""
    files = count_authorities()
    if not files:
        return "the system's authorities: neither SSL_CERT_FILE nor AWS_CA_BUNDLE is set"
    return ", ".join(f"{name} names {count} authorities" for name, count in files.items())
