"""Smaller copies of pictures, made by libvips."""
