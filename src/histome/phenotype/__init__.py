"""Six phenotype axes of a patch: features, labels, tokens."""
