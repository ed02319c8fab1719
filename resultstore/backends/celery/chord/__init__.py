"""Chord: parts are counted once, and the body is sent when all are in, whoever dies meanwhile."""
