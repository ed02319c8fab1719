"""Authentication keeps working when the JWT issuer is slow, unavailable or queried too often."""

import asyncio

import pytest

from resultstore.gateway.identity import jwks
from resultstore.gateway.problems import Problem
from resultstore.model.errors import Unavailable
from tests.gateway.identity.test_jwts import known, refused, signed

GENEROUS_S = 30.0
pytestmark = pytest.mark.anyio


async def test_unknown_key_ids_do_not_flood_the_issuer(issuer, rsa_key):
    issuer.publish(a=rsa_key)
    identities = known(jwt_jwks_url=issuer.url)

    for number in range(20):
        assert await refused(identities, signed(rsa_key, "RS256", {"kid": f"made-up-{number}"}))

    assert issuer.asked == 1


async def test_cached_keys_survive_a_limited_issuer_outage(issuer, rsa_key, monkeypatch):
    monkeypatch.setattr(jwks, "FETCH_INTERVAL_S", 0.0)
    monkeypatch.setattr(jwks, "FRESH_S", 0.0)
    issuer.publish(a=rsa_key)
    identities, token = known(jwt_jwks_url=issuer.url), signed(rsa_key, "RS256", {"kid": "a"})
    await identities.caller("Bearer " + token)

    issuer.says = b"<html>"
    assert (await identities.caller("Bearer " + token)).owner.endswith(" ann")
    monkeypatch.setattr(jwks, "STALE_S", 0.0)

    with pytest.raises(Unavailable):
        await identities.caller("Bearer " + token)


async def test_an_answer_without_end_is_given_up(issuer, rsa_key, monkeypatch):
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.3)
    issuer.publish(a=rsa_key)
    issuer.holds = True

    with pytest.raises(Unavailable):
        async with asyncio.timeout(GENEROUS_S):
            await known(jwt_jwks_url=issuer.url).caller("Bearer " + signed(rsa_key, "RS256", {"kid": "a"}))


async def test_a_slow_issuer_keeps_no_known_caller_waiting(issuer, rsa_key, monkeypatch):
    # given cached keys, and a request that waits for an unknown one
    monkeypatch.setattr(jwks, "FETCH_INTERVAL_S", 0.0)
    monkeypatch.setattr(jwks, "TIMEOUT_S", 3600.0)
    issuer.publish(a=rsa_key)
    identities, token = known(jwt_jwks_url=issuer.url), signed(rsa_key, "RS256", {"kid": "a"})
    await identities.caller("Bearer " + token)
    issuer.holds = True
    made_up = asyncio.create_task(identities.caller("Bearer " + signed(rsa_key, "RS256", {"kid": "made-up"})))
    assert await asyncio.to_thread(issuer.was_asked, 2)

    async with asyncio.timeout(GENEROUS_S):
        for fresh_s in (600.0, 0.0):  # fresh keys, then stale ones
            monkeypatch.setattr(jwks, "FRESH_S", fresh_s)
            assert (await identities.caller("Bearer " + token)).owner.endswith(" ann")
        assert not made_up.done()
        issuer.free.set()
        with pytest.raises(Problem):
            await made_up


async def test_who_goes_away_takes_no_answer_from_others(issuer, rsa_key):
    issuer.publish(a=rsa_key)
    issuer.holds = True
    identities, token = known(jwt_jwks_url=issuer.url), signed(rsa_key, "RS256", {"kid": "a"})
    first, second = (asyncio.create_task(identities.caller("Bearer " + token)) for _ in range(2))
    assert await asyncio.to_thread(issuer.was_asked, 1)

    first.cancel()
    issuer.free.set()

    assert (await second).owner.endswith(" ann")
    assert issuer.asked == 1
