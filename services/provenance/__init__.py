"""Marks what is released, and says later whether a picture is ours."""
