"""The second listener, which serves the signed URLs of a local store; S3 serves its own presigned URLs."""
