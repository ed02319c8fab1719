"""Spill: what is too big for a message travels as a reference."""
