"""Labeled data: fields, label sets, splits, and the layouts of published sets."""
