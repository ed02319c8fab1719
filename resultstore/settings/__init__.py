"""Every setting, in groups, and the only reader of the environment."""

from resultstore.settings.groups import DEFAULT_PART_SIZE_BYTES, GIB
from resultstore.settings.settings import Settings, attributes, find_unknown_variables, settings_known

__all__ = ["DEFAULT_PART_SIZE_BYTES", "GIB", "Settings", "attributes", "find_unknown_variables", "settings_known"]
