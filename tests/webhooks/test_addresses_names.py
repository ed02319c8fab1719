"""Host names: an invalid name is refused at registration."""

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
def test_an_invalid_host_name_is_refused(host):
    with pytest.raises(AddressRefused):
        PUBLIC.check_url(f"https://{host}/hook")


def test_an_unencodable_name_is_unknown():
    with pytest.raises(httpx.ConnectError):
        asyncio.run(system_addresses("a..b", 443))
