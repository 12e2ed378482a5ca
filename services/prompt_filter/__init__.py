"""Judges prompts: text in, signals and a verdict out."""
