"""The command line `resultstore`. With `--json`, stdout has JSON only; progress and errors go to stderr.

No other package imports this one.
"""
