"""histome.slide."""
