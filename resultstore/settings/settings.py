"""Settings, read from RESULTSTORE_* variables. The only module that reads the environment."""

import dataclasses
import difflib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from resultstore.model.errors import BadSetting
from resultstore.settings.groups import (
    BlobSettings,
    BrokerSettings,
    BucketEventSettings,
    GatewaySettings,
    Group,
    IdentitySettings,
    IndexSettings,
    LocalBytesSettings,
    QuotaSettings,
    ResultSettings,
    S3Settings,
    SecuritySettings,
    Setting,
    TelemetrySettings,
    UploadSettings,
    UrlSettings,
    WebhookSettings,
)
from resultstore.telemetry.redaction import Secret, secret_url

_VARIABLE_PREFIX = "RESULTSTORE_"


@dataclass(frozen=True, kw_only=True, init=False)
class Settings:
    """How to reach the servers, and all limits, in groups: `settings.s3.endpoint`, `settings.quotas.running`.

    Every setting has one name, as a keyword here and in capitals after RESULTSTORE_ in the environment:
    `Settings(s3_endpoint="http://minio:9000")` is RESULTSTORE_S3_ENDPOINT. What the caller does not give is read from
    the environment; otherwise it is the default. Credentials of the object store are not settings: boto3's provider
    chain finds them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role ...).

    Raises BadSetting, which names every value that does not fit, and TypeError for an unknown name.
    """

    index: IndexSettings
    blobs: BlobSettings
    broker: BrokerSettings
    security: SecuritySettings
    s3: S3Settings
    results: ResultSettings
    urls: UrlSettings
    uploads: UploadSettings
    bucket_events: BucketEventSettings
    gateway: GatewaySettings
    local_bytes: LocalBytesSettings
    identity: IdentitySettings
    quotas: QuotaSettings
    webhooks: WebhookSettings
    telemetry: TelemetrySettings

    def __init__(self, **given: object) -> None:
        wrong: list[str] = []
        known = settings_known()
        if unknown := [name for name in given if name not in known and name not in _groups()]:
            raise TypeError(f"Settings has no setting {', '.join(map(repr, unknown))}")
        values = {name: _value(name, given, wrong) for name in known}
        if wrong:
            raise BadSetting(f"a setting is wrong: {'; '.join(wrong)}")
        for group, kind in _groups().items():
            fields = {one.name: values[_name(kind, one)] for one in dataclasses.fields(kind)}
            object.__setattr__(self, group, kind(**fields))

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Settings":
        """Return the settings in `variables`, another process's environment, completed by this process's own."""
        names = {name: _VARIABLE_PREFIX + name.upper() for name in settings_known()}
        return cls(**{name: variables[one] for name, one in names.items() if one in variables})

    if not TYPE_CHECKING:  # so that a wrong name is an error of types

        def __getattr__(self, name: str) -> object:
            """Return a setting by its flat name, as `settings.s3_endpoint`, for one more release."""
            group, attribute = attributes().get(name, ("", ""))
            if not group:
                raise AttributeError(f"Settings has no setting {name!r}")
            text = f"settings.{name} is settings.{group}.{attribute}; the flat name goes with the next release"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            return getattr(getattr(self, group), attribute)


def _value(name: str, given: Mapping[str, object], wrong: list[str]) -> object:
    """Return a setting as the caller, a group of the caller's, the environment or its default gives it, checked."""
    wanted, setting = settings_known()[name]
    group, attribute = attributes()[name]
    if name in given:
        value = given[name]
    elif group in given:
        value = getattr(given[group], attribute)
    else:
        value = os.environ.get(_VARIABLE_PREFIX + name.upper(), setting.default)
    try:
        return _guarded(msgspec.convert(value, wanted, strict=False), setting)
    except msgspec.ValidationError as error:  # it names types and bounds, never the value
        wrong.append(f"{_VARIABLE_PREFIX}{name.upper()}: {error}")
        return None


def _guarded(value: object, setting: Setting) -> object:
    """Return text that holds a secret as a Secret: tracebacks show the repr of local variables."""
    if not isinstance(value, str):
        return value
    if setting.secret:
        return Secret(value)
    return secret_url(value) if "://" in value else value


@cache
def settings_known() -> dict[str, tuple[Any, Setting]]:
    """Return each setting by its name: its type with its bounds, and what is declared of it."""
    found: dict[str, tuple[Any, Setting]] = {}
    for kind in _groups().values():
        types = get_type_hints(kind)
        for one in dataclasses.fields(kind):
            setting: Setting = one.metadata["setting"]
            found[_name(kind, one)] = (Annotated[types[one.name], Meta(**setting.bounds)], setting)
    return found


def find_unknown_variables() -> dict[str, str]:
    """Return each RESULTSTORE_* variable of the environment that is no setting, with the most similar name or ""."""
    known = [_VARIABLE_PREFIX + name.upper() for name in settings_known()]
    unknown = sorted(name for name in os.environ if name.startswith(_VARIABLE_PREFIX) and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.75)), "") for name in unknown}


@cache
def _groups() -> dict[str, type[Group]]:
    return get_type_hints(Settings)


@cache
def attributes() -> dict[str, tuple[str, str]]:
    """Return the group and the attribute of each setting by its name: `s3_endpoint` is `("s3", "endpoint")`."""
    return {
        _name(kind, one): (group, one.name) for group, kind in _groups().items() for one in dataclasses.fields(kind)
    }


def _name(kind: type[Group], one: "dataclasses.Field[Any]") -> str:
    setting: Setting = one.metadata["setting"]
    return setting.name or kind.prefix + one.name
