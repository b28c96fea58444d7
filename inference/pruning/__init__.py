"""Structured pruning: whole layers, heads and neurons go, and the saved model is really smaller."""
