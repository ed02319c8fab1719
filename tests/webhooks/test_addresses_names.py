"""Names: a host that no resolver takes is refused when it is left, not when it is asked."""

import asyncio

import httpx
import pytest

from resultstore.model.errors import AddressRefused
from resultstore.webhooks.addresses import AddressGuard, system_addresses

PUBLIC = AddressGuard(ports=frozenset({80, 443}))


@pytest.mark.parametrize(
    "host",
    [
        "xn--",
        "xn--.com",
        "xn--zzzzzz",
        "XN--ZZZZZZ.com",
        "xn--a.com",
        "a.xn--",
        "xn--ls8h.la",
        "a..b",
        ".a.com",
        "a.com..",
        ".",
        "-a.com",
        "a-.com",
        "a!b.com",
        "a,b",
        "a*.com",
        "a'b.com",
        "a%2eb",
        "a" * 64 + ".com",
        "a." * 127 + "com",
    ],
)
def test_a_host_that_no_resolver_takes_is_refused(host):
    with pytest.raises(AddressRefused):
        PUBLIC.check_url(f"https://{host}/hook")


def test_a_name_that_cannot_be_encoded_is_unknown():
    with pytest.raises(httpx.ConnectError):
        asyncio.run(system_addresses("a..b", 443))
