"""Reads delimited text into Arrow, a chunk at a time. Used by every task that takes a table."""
