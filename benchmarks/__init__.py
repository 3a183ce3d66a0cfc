"""Benchmarks of accuracy, speed and memory. Each is one command that prints a table and writes JSON."""
