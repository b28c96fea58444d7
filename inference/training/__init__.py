"""Training: what makes the packaged weights, one command per weight file."""
