"""histome.metrics."""
