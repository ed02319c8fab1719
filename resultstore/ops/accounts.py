"""Accounts: the service accounts of one store in MinIO, one per role, each with least privilege."""

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
    """Return the display name of a role's account, which is also the name of its AWS profile."""
    return f"resultstore-{role}"


def new_secret() -> str:
    """Return a random secret key."""
    return Secret(secrets.token_urlsafe(_SECRET_BYTES))


def given_accounts(settings: Settings) -> Mapping[str, Credentials]:
    """Return the keys of `setup_accounts` by role. Raises Misconfigured, without secrets in the message."""
    found = {}
    for item in settings.s3.setup_accounts.split():
        role, _, pair = item.partition("=")
        access_key, _, secret_key = pair.partition(":")
        if role not in ROLES or not access_key or not secret_key:
            raise Misconfigured(
                f"RESULTSTORE_SETUP_ACCOUNTS: write role=key:secret, by spaces; the roles are {', '.join(ROLES)}"
            )
        found[role] = Credentials(access_key, secret_key)
    return found


@contextmanager
def temporary_accounts(settings: Settings, *, token: str) -> Iterator[Mapping[str, Credentials]]:
    """Create an account for each role, yield their keys by role, and delete the accounts after the block.

    Needs administrator credentials. A crash leaves accounts with the rights of their roles.

    Args:
        settings: the bucket and the MinIO.
        token: part of the account names, at most 8 characters.

    Raises Misconfigured if the store is not MinIO, or the credentials are not an administrator's.
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
