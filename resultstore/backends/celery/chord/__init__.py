"""Chords: counts the parts, and sends the body once all are in, whichever process crashes."""
