"""histome.report."""
