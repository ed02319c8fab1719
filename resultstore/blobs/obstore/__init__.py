"""Blobs in any object store that the library obstore serves. What one vendor needs belongs to its own package."""
