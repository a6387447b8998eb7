"""The exported metrics: what there is, how it is counted, and how it is written at a scrape."""
