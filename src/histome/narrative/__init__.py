"""What does it say? Features, phenotype labels, tokens and text that says nothing the numbers do not."""
