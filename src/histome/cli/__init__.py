"""histome.cli."""
