"""What does it say? Text that says nothing the numbers do not."""
