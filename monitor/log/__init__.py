"""The event log: what is acknowledged is kept here, and health is folded from here."""
