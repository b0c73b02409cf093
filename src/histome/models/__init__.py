"""histome.models."""
