"""JWTs: the attacks that RFC 8725 names, and key rotation."""

import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from resultstore.gateway.identity import jwks
from resultstore.gateway.identity.identities import identities_of
from resultstore.gateway.problems import Problem
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from tests.gateway.identity.issuer import public_jwk

ISSUER, AUDIENCE, SECRET = "https://issuer.example", "resultstore", "s" * 32
HS256 = {"jwt_secret": SECRET}
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def ed_key():
    return ed25519.Ed25519PrivateKey.generate()


def known(**settings):
    return identities_of(Settings(auth="jwt", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, **settings))


def claims(**changes):
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 300, "scope": "read run openid"}
    return {name: value for name, value in (told | changes).items() if value is not None}


def signed(key=SECRET, algorithm="HS256", headers=None, **changes):
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


async def refused(identities, token):
    with pytest.raises(Problem) as why:
        await identities.caller(f"Bearer {token}")
    assert (why.value.status, why.value.slug) == (401, "unauthenticated")
    return True


async def test_owner_is_issuer_and_subject_with_known_scopes():
    caller = await known(**HS256).caller("Bearer " + signed())

    assert caller.owner == f"{ISSUER} ann"
    assert caller.scopes == {"read", "run"}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": time.time() - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": time.time() + 3600},
        {"iat": time.time() + 3600},
        {"iss": "https://other.example"},
        {"iss": [ISSUER]},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 10_000},
    ],
    ids=str,
)
async def test_wrong_or_missing_claim_is_refused(changes):
    try:
        token = signed(**changes)
    except TypeError:  # PyJWT refuses to create some tokens
        token = jwt.PyJWS().encode(json.dumps(claims(**changes)).encode(), SECRET, "HS256")
    assert await refused(known(**HS256), token)


HOSTILE = ["[" * 4000, '{"alg":' * 600, "null", "[]", '"x"', "1e999", '{"alg": 5}', '{"alg": "HS256", "kid": NaN}']


@pytest.mark.parametrize("head", HOSTILE)
async def test_malformed_header_is_refused(head):
    whole = part(claims())
    coded = b64(head.encode())
    for token in (f"{coded}.{whole}.{whole}", f"{whole}.{coded}.{whole}", head, "..", "a.b.c"):
        assert await refused(known(**HS256), token)


async def test_malformed_claims_are_refused():
    for body in (b"[" * 4000, b"null", b"[]", b'{"exp": 1e999}', b'{"exp": [], "aud": {}, "sub": 2}', b"\xff"):
        assert await refused(known(**HS256), jwt.PyJWS().encode(body, SECRET, "HS256"))


async def test_unsigned_token_is_refused(issuer, rsa_key):
    issuer.publish(a=rsa_key)
    for identities in (known(**HS256), known(jwt_jwks_url=issuer.url)):
        for spelling in ("none", "None", "NONE", "nOnE"):
            token = unsigned({"alg": spelling, "typ": "JWT", "kid": "a"})
            assert await refused(identities, token)
            assert await refused(identities, token.rstrip("."))


async def test_public_key_is_never_used_as_secret(issuer, rsa_key):
    issuer.publish(a=rsa_key)
    identities = known(jwt_jwks_url=issuer.url)
    public = rsa_key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    for secret in (pem, pem.strip(), der, json.dumps(issuer.keys[0]).encode()):
        assert await refused(identities, forged(secret, {"alg": "HS256", "kid": "a"}))
    assert await refused(known(**HS256), signed(rsa_key, "RS256"))


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "HS512"])
async def test_algorithm_other_than_the_keys_is_refused(issuer, rsa_key, algorithm):
    issuer.publish(a=rsa_key)
    key = SECRET * 4 if algorithm == "HS512" else rsa_key
    identities = known(jwt_secret=SECRET * 4) if algorithm == "HS512" else known(jwt_jwks_url=issuer.url)

    assert await refused(identities, signed(key, algorithm, {"kid": "a"}))


async def test_tokens_of_either_kind_of_key_are_read(issuer, rsa_key, ed_key):
    issuer.publish(a=rsa_key, b=ed_key)
    identities = known(jwt_jwks_url=issuer.url)

    for key, algorithm, kid in ((rsa_key, "RS256", "a"), (ed_key, "EdDSA", "b")):
        assert (await identities.caller("Bearer " + signed(key, algorithm, {"kid": kid}))).owner.endswith(" ann")
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "head", [{"kid": "b"}, {}, {"kid": ["a"]}, {"kid": "../../a"}, {"kid": "a", "crit": ["exp"], "exp": 1}], ids=str
)
async def test_unknown_key_id_is_refused(issuer, rsa_key, ed_key, head):
    issuer.publish(a=rsa_key, b=ed_key)

    assert await refused(known(jwt_jwks_url=issuer.url), forged(rsa_key, {"alg": "RS256"} | head))


async def test_keys_inside_the_token_are_ignored(issuer, rsa_key):
    issuer.publish(a=rsa_key)
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = public_jwk("a", own)

    for head in ({"jwk": brought}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/keys"}):
        assert await refused(known(jwt_jwks_url=issuer.url), forged(own, {"alg": "RS256", "kid": "a"} | head))
    assert issuer.asked == 3  # one per gateway, none for a URL in a token


async def test_rotated_key_replaces_the_old_one(issuer, rsa_key, ed_key, monkeypatch):
    monkeypatch.setattr(jwks, "FETCH_INTERVAL_S", 0.0)
    issuer.publish(a=rsa_key)
    identities = known(jwt_jwks_url=issuer.url)
    old, new = (signed(key, kind, {"kid": kid}) for key, kind, kid in ((rsa_key, "RS256", "a"), (ed_key, "EdDSA", "b")))
    await identities.caller("Bearer " + old)

    issuer.publish(b=ed_key)
    await identities.caller("Bearer " + new)

    assert await refused(identities, old)


async def test_symmetric_key_in_jwks_is_ignored(issuer):
    issuer.says = json.dumps({"keys": [{"kty": "oct", "kid": "a", "k": "c" * 43}]}).encode()

    assert await refused(known(jwt_jwks_url=issuer.url), signed(headers={"kid": "a"}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        HS256 | {"jwt_jwks_url": "https://issuer.example/keys"},
        {"jwt_secret": "short"},
        {"jwt_jwks_url": "http://issuer.example/keys"},
        HS256 | {"jwt_audience": ""},
        HS256 | {"jwt_issuer": ""},
    ],
    ids=str,
)
async def test_half_a_configuration_does_not_start(settings):
    given = {"auth": "jwt", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE} | settings
    with pytest.raises(Misconfigured, match="RESULTSTORE_JWT"):
        identities_of(Settings(**given))


def forged(key, head):
    """Return a token with any header: PyJWT refuses to create some of them."""
    text = f"{part(head)}.{part(claims())}".encode()
    kind = jwt.get_algorithm_by_name(head["alg"])
    if head["alg"] == "HS256":
        return f"{text.decode()}.{b64(hmac.digest(key, text, hashlib.sha256))}"
    return f"{text.decode()}.{b64(kind.sign(text, key))}"


def unsigned(head):
    return f"{part(head)}.{part(claims())}."


def part(value):
    return b64(json.dumps(value).encode())


def b64(raw):
    return jwt.utils.base64url_encode(raw).decode()
