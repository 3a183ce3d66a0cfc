"""Time to a given error on one problem, for kanpde and for other packages that a user has installed.

Every package trains in a process of its own, with the interpreter that has it. Modules here but `__main__` and `table`
run there, so they import numpy and the package that they are named after, and nothing of kanpde.
"""
