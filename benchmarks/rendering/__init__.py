"""What the benchmark of the generator measures with."""
