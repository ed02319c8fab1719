"""The command line: `resultstore`. Machine output on stdout, everything for people on stderr when `--json` is given."""
