"""Intake: every way in which a caller sends a file: tickets of our own, and the two that Uppy knows."""
