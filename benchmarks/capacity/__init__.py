"""What a house of any size needs: measured here, reckoned for sizes that no one machine has."""
