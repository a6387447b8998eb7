"""A desk for each test: a fleet at a time that the test sets."""

from tests.metrics.conftest import desk

__all__ = ["desk"]
