"""What was learned: cards, the shipped models and their runtime (imported only when needed)."""
