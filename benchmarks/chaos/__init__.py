"""A house of its own under faults: each of its dependencies killed, stopped, slowed, cut off … while it is in use."""
