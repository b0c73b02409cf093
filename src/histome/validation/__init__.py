"""histome.validation."""
