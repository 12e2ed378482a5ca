"""Portcullis: the trust-and-safety layer between a platform and its image generator."""
