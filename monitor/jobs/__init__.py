"""`monitor jobs`: starts, stops and shows livestreams at their vendors, from the command line."""
