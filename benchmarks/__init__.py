"""Benchmarks: resultstore beside its peers, in one run."""
