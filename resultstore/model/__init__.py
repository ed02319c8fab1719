"""The nouns: frozen values that every other floor speaks of. Standard library and msgspec only."""
