"""ResultStorePath: `UPath("resultstore://<id>/<name>")` of universal-pathlib."""

from upath import UPath


class ResultStorePath(UPath):
    """A path of the filesystem; its segments are percent-encoded, as everywhere in it."""
