"""A house of a benchmark's own: its Postgres, and what is in it."""
