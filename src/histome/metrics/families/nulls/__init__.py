"""What is more than chance, once tissue and abundance are known? Null models beside the pooled numbers."""
