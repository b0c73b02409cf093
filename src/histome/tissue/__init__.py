"""histome.tissue."""
