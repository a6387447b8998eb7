"""The vendors: how each signs, and what its messages say. Nothing outside this folder knows a vendor."""
