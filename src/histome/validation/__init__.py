"""Is it true? Scores with intervals."""
