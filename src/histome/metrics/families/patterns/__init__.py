"""Who is near whom? Neighborhoods, distances, point patterns and tiles."""
