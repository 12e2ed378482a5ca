"""What conduct leads to: strikes, the ladder, tiers."""
