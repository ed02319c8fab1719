"""Benchmarks: resultstore compared with its peers, in one run."""
