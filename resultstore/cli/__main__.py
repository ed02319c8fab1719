"""Main: `python -m resultstore.cli`, the same as the `resultstore` command."""

from resultstore.cli.app import main

if __name__ == "__main__":
    main()
