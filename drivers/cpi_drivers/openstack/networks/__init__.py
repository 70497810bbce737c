"""What the director's networks become in this cloud."""
