"""The image filter: pictures in, signals and a verdict out."""
