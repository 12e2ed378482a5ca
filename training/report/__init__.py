"""What `training.evaluate` is made of: read labelled prompts, score them, count, draw, write."""
