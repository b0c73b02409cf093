"""How much? Every metric with its unit, n and the reason of a null."""
