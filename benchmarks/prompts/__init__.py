"""What `benchmarks/prompt_filter.py` is made of."""
