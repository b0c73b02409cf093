"""histome.cells."""
