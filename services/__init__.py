"""The services of Portcullis, one package a room; rooms never import each other."""
