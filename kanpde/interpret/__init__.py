"""Formulas of trained networks."""
