"""A month of a platform in simulated time: who uses it, how, and what the house's own rules make of it."""
