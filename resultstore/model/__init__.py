"""Values and written formats that all other packages use. Standard library and msgspec only."""
