"""Smaller copies of pictures, by libvips."""
