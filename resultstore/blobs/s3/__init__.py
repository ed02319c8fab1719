"""Blobs in a bucket of MinIO or any S3: data by obstore, control plane by boto3, MinIO's administration by its SDK."""
