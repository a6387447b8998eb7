"""What is known of each stream: pure functions from events to health, without any I/O."""
