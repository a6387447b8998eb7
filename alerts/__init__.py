"""The alerting rules, and what they are written from."""
