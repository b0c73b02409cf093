"""Who writes: the grounded rules for a slide and for a patch, language models, and the table of them."""
