"""Served: the bytes of a local store, by signed URL, on a listener of their own."""
