"""Every setting, in groups, and the only reader of the environment."""

from resultstore.settings.groups import DEFAULT_PART_SIZE_BYTES, GIB
from resultstore.settings.settings import Settings, attributes, settings_known

__all__ = ["DEFAULT_PART_SIZE_BYTES", "GIB", "Settings", "attributes", "settings_known"]
