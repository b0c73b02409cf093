"""How it was learned: the trainers of every model."""
