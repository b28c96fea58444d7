"""From large models to small ones: soft targets, features, answers written by the teacher. See `recipe`."""
