"""Text-to-image, inpainting and variations, for what was cleared."""
