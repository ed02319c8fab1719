"""The contract Index, its drivers, and what is built on both (leases, due lists, byte counts).

The index is fast and disposable: what must survive its loss is in `blobs`.
"""
