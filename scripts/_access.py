"""The addresses of the three servers, as environment variables for the programs that use them."""

import hashlib
from dataclasses import dataclass

USER = "resultstore"
# MinIO is built from its last upstream source, which has CVE-2026-41145. It listens on loopback only.
FORGEABLE = {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true"}


class Failed(Exception):
    """The servers cannot be started; the message says what to do."""


@dataclass(frozen=True)
class Access:
    """Addresses with their credentials, all on loopback, all for one run."""

    redis_url: str
    amqp_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str

    def for_tests(self) -> dict[str, str]:
        """Return the variables that tests/conftest.py reads."""
        return {
            "RS_TEST_REDIS_URL": self.redis_url,
            "RS_TEST_AMQP_URL": self.amqp_url,
            "RS_TEST_S3_ENDPOINT": self.s3_endpoint,
            "RS_TEST_S3_ACCESS_KEY": self.s3_access_key,
            "RS_TEST_S3_SECRET_KEY": self.s3_secret_key,
            **FORGEABLE,
        }

    def for_settings(self) -> dict[str, str]:
        """Return the variables of resultstore's settings and boto3, as docker-compose.yml sets them."""
        return {
            "RESULTSTORE_INDEX_URL": self.redis_url,
            "RESULTSTORE_BROKER_URL": self.amqp_url,
            "RESULTSTORE_BLOBS_URL": "s3://resultstore",
            # The same in every terminal and after a restart: kept results are signed with it.
            "RESULTSTORE_SECRET_KEY": hashlib.sha256(f"resultstore {self.s3_secret_key}".encode()).hexdigest(),
            "RESULTSTORE_S3_ENDPOINT": self.s3_endpoint,
            "RESULTSTORE_S3_PUBLIC_ENDPOINT": self.s3_endpoint,
            "RESULTSTORE_RETENTION": "30d",
            "RESULTSTORE_LOG_JSON": "true",
            **FORGEABLE,
            "AWS_ACCESS_KEY_ID": self.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_key,
        }
