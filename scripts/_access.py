"""Access: how to reach the three servers, as variables for the programs that use them."""

import secrets
from dataclasses import dataclass

USER = "resultstore"
# MinIO is built from its last upstream source, which has CVE-2026-41145. It listens on loopback alone.
FORGEABLE = {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true"}


class Failed(Exception):
    """The servers cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Access:
    """Addresses with their credentials, all on loopback, all for one run."""

    redis_url: str
    amqp_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str

    def for_tests(self) -> dict[str, str]:
        """What tests/conftest.py reads."""
        return {
            "RS_TEST_REDIS_URL": self.redis_url,
            "RS_TEST_AMQP_URL": self.amqp_url,
            "RS_TEST_S3_ENDPOINT": self.s3_endpoint,
            "RS_TEST_S3_ACCESS_KEY": self.s3_access_key,
            "RS_TEST_S3_SECRET_KEY": self.s3_secret_key,
            **FORGEABLE,
        }

    def for_settings(self) -> dict[str, str]:
        """What resultstore's settings and boto3's provider chain read: the same as docker-compose.yml gives."""
        return {
            "RESULTSTORE_INDEX_URL": self.redis_url,
            "RESULTSTORE_BROKER_URL": self.amqp_url,
            "RESULTSTORE_BLOBS_URL": "s3://resultstore",
            "RESULTSTORE_SECRET_KEY": secrets.token_hex(24),
            "RESULTSTORE_S3_ENDPOINT": self.s3_endpoint,
            "RESULTSTORE_S3_PUBLIC_ENDPOINT": self.s3_endpoint,
            "RESULTSTORE_RETENTION": "30d",
            "RESULTSTORE_LOG_JSON": "true",
            **FORGEABLE,
            "AWS_ACCESS_KEY_ID": self.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_key,
        }
