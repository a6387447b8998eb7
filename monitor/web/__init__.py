"""What faces operators: the JSON API, metrics and the probes."""
