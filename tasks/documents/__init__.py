"""Covers of PDF documents."""
