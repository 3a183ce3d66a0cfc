"""Floating point numbers that modules share."""

TINY = 1e-300
"""Takes the place of zero in divisors: smaller than what is computed, and its reciprocal is finite."""
