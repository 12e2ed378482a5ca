"""The invisible mark: a keyed spread-spectrum tile that carries 64 bits."""
