"""Parts of the image filter's benchmark."""
