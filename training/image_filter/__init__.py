"""How the photo model is made and measured."""
