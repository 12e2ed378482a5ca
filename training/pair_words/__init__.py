"""The word lists of the combo filter, from WordNet."""
