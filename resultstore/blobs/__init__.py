"""Bytes: the contracts of an object store, and its drivers."""
