"""Accounts: the identities of one store in a MinIO, one for each role, each with the least rights."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.policies import policies
from resultstore.blobs.s3.target import S3Target
from resultstore.connect import connect_minio
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.telemetry.redaction import Secret

ROLES: Final = ("worker", "gateway", "reader", "uploader")
_SECRET_BYTES: Final = 30  # 40 characters, the most that MinIO takes


def account_name(role: str) -> str:
    """Return the name of a role's account, as people see it, and of its AWS profile."""
    return f"resultstore-{role}"


def new_secret() -> str:
    """Return a random secret key."""
    return Secret(secrets.token_urlsafe(_SECRET_BYTES))


def given_accounts(settings: Settings) -> Mapping[str, Credentials]:
    """Return the keys that `setup_accounts` names, by role. Raises Misconfigured, which shows no secret."""
    found = {}
    for word in settings.s3.setup_accounts.split():
        role, _, pair = word.partition("=")
        access_key, _, secret_key = pair.partition(":")
        if role not in ROLES or not access_key or not secret_key:
            raise Misconfigured(
                f"RESULTSTORE_SETUP_ACCOUNTS: write role=key:secret, by spaces; the roles are {', '.join(ROLES)}"
            )
        found[role] = Credentials(access_key, secret_key)
    return found


@contextmanager
def temporary_accounts(settings: Settings, *, token: str) -> Iterator[Mapping[str, Credentials]]:
    """Make an account for each role, and remove them when the block is left; gives their keys, by role.

    Needs an administrator's credentials. A crash leaves accounts that may do no more than their roles.

    Args:
        settings: the bucket and the MinIO.
        token: is part of their names, at most 8 characters.

    Raises Misconfigured where there is no MinIO, or where we are no administrator.
    """
    minio, target = connect_minio(settings), S3Target.at(settings.blobs.url)
    made = {role: Credentials(f"rs-{role}-{token}", new_secret()) for role in ROLES}
    try:
        for role, policy in policies(target, gateway_deletes=True).items():
            pair = made[role]
            minio.add_account(pair.access_key, pair.secret_key, name=account_name(role), policy=policy)
        yield made
    finally:
        for pair in made.values():
            minio.remove_account(pair.access_key)
