"""Reads delimited text into Arrow, a chunk at a time, for every task that takes a table."""
