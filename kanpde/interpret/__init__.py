"""From a solution to a formula: what it is made of, and whether it is exact."""
