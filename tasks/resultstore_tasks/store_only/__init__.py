"""Files of any type, stored as they are."""
