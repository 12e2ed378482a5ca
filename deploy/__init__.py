"""How a house is run on more than a developer's machine."""
