"""Furnish: tells a MinIO what to publish, how long to keep what never ended, and who may do what below our root."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.policies import Policy, policies
from resultstore.blobs.s3.target import S3Target
from resultstore.connect import connect_minio
from resultstore.model.errors import Misconfigured
from resultstore.ops.accounts import account_name, given_accounts, new_secret
from resultstore.ops.provision import preview, provision
from resultstore.settings import Settings

if TYPE_CHECKING:
    from resultstore.blobs.s3.minio_admin import MinioServer

# A ticket is open for a day; MinIO looks every 6 hours. A lifecycle rule cannot say it: MinIO drops it without a word.
_STALE: Final = {"stale_uploads_expiry": "24h"}
_NOTHING: Final = "stands already"


class MinioPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be.

    Args:
        settings: the bucket, and the exchange for its events (none where that is empty).
        credentials_file: where the secrets of new accounts are written, as AWS profiles; it must not exist then.
        gateway_deletes: whether the gateway's callers may delete results.
        queue_dir: folder of MinIO's machine where events wait while RabbitMQ is away; "" loses them.
        renew: give standing accounts new secrets.
    """

    settings: Settings
    credentials_file: Path
    gateway_deletes: bool = False
    queue_dir: str = ""
    renew: bool = False


def set_up_minio(asked: MinioPlan) -> dict[str, str]:
    """Do every step; gives what was done, step by step. Safe to run again: what stands is left alone.

    A crash between two steps leaves what the next run completes; one between the file of secrets and their accounts
    leaves a file that must be moved away first. Where the events of MinIO change, it is restarted.
    Raises Misconfigured where there is no MinIO, or where it refuses, with the way out.
    """
    _ask(asked.settings)
    done = provision(asked.settings)
    for step in _steps(asked):
        if step.missing:
            step.act()
        done[step.name] = step.missing or _NOTHING
    return done


def preview_minio(asked: MinioPlan) -> dict[str, str]:
    """What `furnish` would do, step by step; changes nothing. Raises what `furnish` raises."""
    _ask(asked.settings)
    found = preview(asked.settings)
    if found["bucket"] != _NOTHING:
        return found | {"rest": "can be looked at when the bucket is there"}
    return found | {step.name: f"to do: {step.missing}" if step.missing else _NOTHING for step in _steps(asked)}


def _ask(settings: Settings) -> None:
    """Raise Misconfigured, before anything is done, where it is no MinIO or we are no administrator."""
    connect_minio(settings).config("api")


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what it would change ("" when that stands), and how."""

    name: str
    missing: str
    act: Callable[[], object]


def _steps(asked: MinioPlan) -> Iterator[_Step]:
    """Each step as it is found when all before it have been done."""
    settings = asked.settings
    minio, target = connect_minio(settings), S3Target.at(settings.blobs.url)
    stale = _differing(minio.config("api"), _STALE)
    words = " ".join(f"api {name}={value}" for name, value in stale.items())
    yield _Step(name="unfinished uploads", missing=words, act=partial(minio.configure, "api", _STALE))
    if settings.bucket_events.exchange:
        yield from _events(asked, minio, target)
    yield from _accounts(asked, minio, target)


def _events(asked: MinioPlan, minio: "MinioServer", target: S3Target) -> Iterator[_Step]:
    """Where events go, and which: below uploads/ alone, for seals and blobs are our own doing."""
    exchange = asked.settings.bucket_events.exchange
    place = f"rs-{hashlib.sha256(exchange.encode()).hexdigest()[:8]}"
    arn = f"arn:minio:sqs::{place}:amqp"
    wanted = _publishing(asked)
    changed = _differing(minio.config(f"notify_amqp:{place}"), wanted) or not minio.publishes_to(arn)

    def publish() -> None:
        minio.configure(f"notify_amqp:{place}", {**wanted, "enable": "on"})  # which MinIO does not show while it is on
        minio.restart()
        minio.wait_for(arn)

    yield _Step(
        name="events",
        missing=f"{arn} publishes to the exchange {exchange}; MinIO restarts" if changed else "",
        act=publish,
    )
    rule, prefix = f"rs-uploads-{place}", target.object_key("uploads/")
    stands = minio.has_event_rule(rule, arn=arn, prefix=prefix)
    yield _Step(
        name="notification",
        missing="" if stands else f"what arrives below {prefix} goes to {arn}",
        act=partial(minio.put_event_rule, rule, arn=arn, prefix=prefix),
    )


def _publishing(asked: MinioPlan) -> Mapping[str, str]:
    """The exchange as `backends.celery.bucket_events` declares it; confirmed, so that none is lost in silence."""
    return {
        "url": asked.settings.bucket_events.broker_url or asked.settings.broker.url,
        "exchange": asked.settings.bucket_events.exchange,
        "exchange_type": "fanout",
        "durable": "on",
        "delivery_mode": "2",
        "publisher_confirms": "on",
        "queue_dir": asked.queue_dir,
    }


def _accounts(asked: MinioPlan, minio: "MinioServer", target: S3Target) -> Iterator[_Step]:
    """One identity for each role; their names tell stores of one MinIO apart."""
    rights = policies(target, gateway_deletes=asked.gateway_deletes)
    given = given_accounts(asked.settings)
    accounts = [_RoleAccount(minio, role, policy, given.get(role), target) for role, policy in rights.items()]
    made = {one.role: one for one in accounts if one.given is None and (one.standing is None or asked.renew)}

    def write() -> None:
        pairs = {role: Credentials(one.key, one.secret) for role, one in made.items()}
        _write_profiles(asked.credentials_file, pairs, target)

    yield _Step(name="credentials", missing=f"secrets written to {asked.credentials_file}" if made else "", act=write)
    for one in accounts:
        yield one.step(renewed=one.role in made)


class _RoleAccount:
    """The account of one role: as it is on the server, and as it shall be.

    Args:
        minio: the server.
        role: whose account it is.
        policy: what it may do.
        given: the key that the settings name for it; None for one of ours.
        target: the bucket and the root, which name an account of ours.
    """

    def __init__(
        self, minio: "MinioServer", role: str, policy: Policy, given: Credentials | None, target: S3Target
    ) -> None:
        self.role = role
        self.given = given
        at = hashlib.sha256(f"{target.bucket}/{target.prefix}".encode()).hexdigest()[:8]
        self.key = f"rs-{role}-{at}" if given is None else given.access_key
        self.secret = new_secret() if given is None else given.secret_key
        self.standing = minio.policy_of(self.key)
        self._minio = minio
        self._policy = policy

    def step(self, *, renewed: bool) -> _Step:
        """What is to be done about it; `renewed` says whether it gets another secret."""
        act: Callable[[], object]
        if self.standing is None:
            act = partial(
                self._minio.add_account, self.key, self.secret, name=account_name(self.role), policy=self._policy
            )
            return _Step(name=account_name(self.role), missing=f"{self.key} made", act=act)
        # Nobody can read a secret back: one that is given is written again.
        secret = self.secret if renewed or self.given is not None else ""
        changes = [] if _same(self.standing, self._policy) else ["gets our policy"]
        changes += ["gets another secret"] if renewed else ["gets the secret that is given"] if secret else []
        act = partial(self._minio.change_account, self.key, policy=self._policy, secret_key=secret)
        missing = " and ".join([self.key, *changes]) if changes else ""
        return _Step(name=account_name(self.role), missing=missing, act=act)


def _write_profiles(path: Path, made: Mapping[str, Credentials], target: S3Target) -> None:
    """Write what no one can read again, for its owner alone. Raises Misconfigured rather than write over a file."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(f"{path} exists: move it away, or name another file by --credentials") from None
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(
            f"# For s3://{target.bucket}/{target.prefix}. Give each machine its own profile, and nobody the file.\n"
        )
        for role, pair in made.items():
            keys = f"aws_access_key_id = {pair.access_key}\naws_secret_access_key = {pair.secret_key}\n"
            file.write(f"\n[{account_name(role)}]\n{keys}")
        file.flush()
        os.fsync(file.fileno())


def _differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if found.get(name, "") != value}


def _same(one: Policy, other: Policy) -> bool:
    """Whether two documents say the same: MinIO gives lists back in an order of its own."""
    return _plain(one) == _plain(other)


def _plain(policy: Policy) -> list[str]:
    statements = cast("list[dict[str, object]]", policy.get("Statement", []))
    return sorted(json.dumps(_sorted(one), sort_keys=True) for one in statements)


def _sorted(value: object) -> object:
    match value:
        case dict():
            return {name: _sorted(one) for name, one in value.items()}
        case list():
            return sorted(map(str, value))
        case _:
            return value
