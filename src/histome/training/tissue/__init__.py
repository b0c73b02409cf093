"""The tissue network."""
