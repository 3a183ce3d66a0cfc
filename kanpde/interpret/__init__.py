"""What is inside a trained KAN: elementary functions, constants, and whether formulas are exact."""
