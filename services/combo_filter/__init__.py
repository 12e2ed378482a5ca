"""Judges prompt and upload together: what is harmless apart may not be together."""
