"""Policy as data: what a document may say, how it is checked, and what it makes of signals."""
