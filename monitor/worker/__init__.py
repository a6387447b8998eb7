"""Reads the log, folds each event into its stream's health, and keeps the result."""
