"""MinIO set-up: configures bucket notifications, expiry of incomplete uploads, and service accounts."""

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

# A ticket is open for a day; MinIO checks every 6 hours. It silently drops a lifecycle rule for this.
_STALE: Final = {"stale_uploads_expiry": "24h"}
_NOTHING: Final = "up to date"


class MinioPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The wanted configuration.

    Args:
        settings: the bucket, and the exchange for its events; no events if that is empty.
        credentials_file: receives the secrets of new accounts as AWS profiles; it must not exist yet.
        gateway_deletes: True if clients of the gateway may delete results.
        queue_dir: folder on MinIO's machine that holds events while RabbitMQ is unavailable; "" loses them.
        renew: True gives existing accounts new secrets.
    """

    settings: Settings
    credentials_file: Path
    gateway_deletes: bool = False
    queue_dir: str = ""
    renew: bool = False


def set_up_minio(asked: MinioPlan) -> dict[str, str]:
    """Apply every step and return what was done by step name. Idempotent: what is up to date is not changed.

    After a crash the next run completes the rest; after one between writing the secrets and creating their accounts,
    the file must be moved away first. MinIO is restarted if its event configuration changes.
    Raises Misconfigured if the store is not MinIO, or refuses a step.
    """
    _ask(asked.settings)
    done = provision(asked.settings)
    for step in _steps(asked):
        if step.missing:
            step.act()
        done[step.name] = step.missing or _NOTHING
    return done


def preview_minio(asked: MinioPlan) -> dict[str, str]:
    """Return what `set_up_minio` would do by step name; changes nothing. Raises the same errors."""
    _ask(asked.settings)
    found = preview(asked.settings)
    if found["bucket"] != _NOTHING:
        return found | {"rest": "can be checked after the bucket is created"}
    return found | {step.name: f"to do: {step.missing}" if step.missing else _NOTHING for step in _steps(asked)}


def _ask(settings: Settings) -> None:
    """Raise Misconfigured, before any step, if it is not MinIO or the credentials are not an administrator's."""
    connect_minio(settings).config("api")


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what it would change ("" if it is up to date), and how."""

    name: str
    missing: str
    act: Callable[[], object]


def _steps(asked: MinioPlan) -> Iterator[_Step]:
    """Yield each step, examined after the previous steps were applied."""
    settings = asked.settings
    minio, target = connect_minio(settings), S3Target.at(settings.blobs.url)
    stale = _differing(minio.config("api"), _STALE)
    words = " ".join(f"api {name}={value}" for name, value in stale.items())
    yield _Step(name="unfinished uploads", missing=words, act=partial(minio.configure, "api", _STALE))
    if settings.bucket_events.exchange:
        yield from _events(asked, minio, target)
    yield from _accounts(asked, minio, target)


def _events(asked: MinioPlan, minio: "MinioServer", target: S3Target) -> Iterator[_Step]:
    """Yield the steps for events, which cover only uploads/: resultstore itself writes seals and blobs."""
    exchange = asked.settings.bucket_events.exchange
    target_id = f"rs-{hashlib.sha256(exchange.encode()).hexdigest()[:8]}"
    arn = f"arn:minio:sqs::{target_id}:amqp"
    wanted = _publishing(asked)
    changed = _differing(minio.config(f"notify_amqp:{target_id}"), wanted) or not minio.publishes_to(arn)

    def publish() -> None:
        minio.configure(f"notify_amqp:{target_id}", {**wanted, "enable": "on"})  # MinIO does not show it while it is on
        minio.restart()
        minio.wait_for(arn)

    yield _Step(
        name="events",
        missing=f"{arn} publishes to the exchange {exchange}; MinIO restarts" if changed else "",
        act=publish,
    )
    rule, prefix = f"rs-uploads-{target_id}", target.object_key("uploads/")
    is_published = minio.has_event_rule(rule, arn=arn, prefix=prefix)
    yield _Step(
        name="notification",
        missing="" if is_published else f"what arrives below {prefix} goes to {arn}",
        act=partial(minio.put_event_rule, rule, arn=arn, prefix=prefix),
    )


def _publishing(asked: MinioPlan) -> Mapping[str, str]:
    """Return the AMQP target, as `backends.celery.worker.bucket_events` declares it, with publisher confirms."""
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
    """Yield the steps for one account per role; account names contain a hash of the bucket and prefix."""
    rights = policies(target, gateway_deletes=asked.gateway_deletes)
    given = given_accounts(asked.settings)
    accounts = [_RoleAccount(minio, role, policy, given.get(role), target) for role, policy in rights.items()]
    made = {one.role: one for one in accounts if one.given is None and (one.current_policy is None or asked.renew)}

    def write() -> None:
        pairs = {role: Credentials(one.key, one.secret) for role, one in made.items()}
        _write_profiles(asked.credentials_file, pairs, target)

    yield _Step(name="credentials", missing=f"secrets written to {asked.credentials_file}" if made else "", act=write)
    for one in accounts:
        yield one.step(renewed=one.role in made)


class _RoleAccount:
    """The account of one role: its current and its wanted state.

    Args:
        minio: the server.
        role: the role.
        policy: the wanted policy.
        given: the key from the settings; None to create one.
        target: the bucket and the prefix, which name a created account.
    """

    def __init__(
        self, minio: "MinioServer", role: str, policy: Policy, given: Credentials | None, target: S3Target
    ) -> None:
        self.role = role
        self.given = given
        at = hashlib.sha256(f"{target.bucket}/{target.prefix}".encode()).hexdigest()[:8]
        self.key = f"rs-{role}-{at}" if given is None else given.access_key
        self.secret = new_secret() if given is None else given.secret_key
        self.current_policy = minio.policy_of(self.key)
        self._minio = minio
        self._policy = policy

    def step(self, *, renewed: bool) -> _Step:
        """Return the step for this account; with `renewed` it gets a new secret."""
        act: Callable[[], object]
        if self.current_policy is None:
            act = partial(
                self._minio.add_account, self.key, self.secret, name=account_name(self.role), policy=self._policy
            )
            return _Step(name=account_name(self.role), missing=f"{self.key} created", act=act)
        # A secret cannot be read back, so one from the settings is always written.
        secret = self.secret if renewed or self.given is not None else ""
        changes = [] if _same(self.current_policy, self._policy) else ["gets the policy of its role"]
        changes += ["gets a new secret"] if renewed else ["gets the secret from the settings"] if secret else []
        act = partial(self._minio.change_account, self.key, policy=self._policy, secret_key=secret)
        missing = " and ".join([self.key, *changes]) if changes else ""
        return _Step(name=account_name(self.role), missing=missing, act=act)


def _write_profiles(path: Path, made: Mapping[str, Credentials], target: S3Target) -> None:
    """Write the secrets to a file that only its owner can read. Raises Misconfigured if the file exists."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(f"{path} exists: move it away, or name another file by --credentials") from None
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(
            f"# For s3://{target.bucket}/{target.prefix}. Give each machine only its own profile, never this file.\n"
        )
        for role, pair in made.items():
            keys = f"aws_access_key_id = {pair.access_key}\naws_secret_access_key = {pair.secret_key}\n"
            file.write(f"\n[{account_name(role)}]\n{keys}")
        file.flush()
        os.fsync(file.fileno())


def _differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if found.get(name, "") != value}


def _same(one: Policy, other: Policy) -> bool:
    """Return True if two policies are equal; MinIO returns lists in another order."""
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
