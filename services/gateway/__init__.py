"""The one door for platform backends: admit, check, generate, screen, mark, record."""
