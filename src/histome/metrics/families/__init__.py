"""The metric families: one module each."""
