"""What faces operators: the pages, the JSON API, metrics and the probes."""
