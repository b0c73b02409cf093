"""histome.qc."""
