"""boto3's client for the control plane; imported at the first request.

boto3 takes 10 MiB and a quarter of a second, and a worker's data path does not need it.
"""

from typing import TYPE_CHECKING, Final, cast

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resultstore.blobs.s3.certificates import for_boto
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.target import S3Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ERRORS: Final = (BotoCoreError, ClientError)

_CONNECT_S: Final = 3
_READ_S: Final = 20


def make_client(target: S3Target, credentials: Credentials) -> "S3Client":
    """Return a client of the bucket's service that sends each request once: S3Bucket does the retries."""
    config = Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        # Other stores refuse the trailing checksums that boto3 adds since 1.36.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if target.path_style else "virtual", "payload_signing_enabled": False},
    )
    session = boto3.session.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token or None,
        region_name=target.region,
    )
    return cast("S3Client", session.client("s3", endpoint_url=target.origin, config=config, verify=for_boto()))
