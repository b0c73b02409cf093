"""histome.training."""
