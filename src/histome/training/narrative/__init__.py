"""Language models that write narratives."""
