"""What faces the vendors: limits, source, verify, identify, append, answer."""
