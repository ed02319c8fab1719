"""The key, file name and type that the tests of signed URLs use."""

KEY = "blobs/30d/ab/7f3a/0123456789abcdef0123456789abcdef.0"
PDF = {"file_name": "Bericht über März 100%.pdf", "media_type": "application/pdf; charset=utf-8"}
