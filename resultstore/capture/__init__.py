"""Capture: what happens inside a worker's task call, for every task queue: outputs are stored, then sealed.

Nothing here knows a task queue; that belongs to its package in `backends`.
"""
