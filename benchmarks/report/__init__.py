"""What benchmarks print and write."""
