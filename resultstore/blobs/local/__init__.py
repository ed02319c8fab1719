"""Blobs in a folder, for development and single machines."""
