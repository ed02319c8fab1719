"""Fits classifiers to tables."""
