"""Runs decoders of untrusted files as confined child processes (sandboxing)."""
