"""How many, and of what kind? Counts, shares, ratios and shapes of cells."""
