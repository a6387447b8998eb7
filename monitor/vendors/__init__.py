"""The vendors: how each signs, and what its messages say. Nothing elsewhere reads a body of theirs."""
