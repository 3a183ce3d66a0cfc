"""Fit a column of a table of your own, problem.path=FILE problem.target=COLUMN, with a test set kept back.

u is the target as a function of the columns `inputs`, by default all others of its length, on the box of their ranges.
The share `test` of the rows, drawn by `seed`, is not trained on: errors are measured on it. Tables are .csv with names
in the first line, .h5, .npz, .mat or .vtu. Source: data of the user.
"""

import torch

from kanpde import Box, KanpdeError, Points, Problem, observe
from kanpde.constraint import from_table, numbers
from kanpde.errors import unknown_name
from kanpde.reference import measured


def problem(
    path: str = "", target: str = "", inputs: tuple[str, ...] = (), test: float = 0.2, seed: int = 0
) -> Problem:
    if not path or not target:
        raise KanpdeError("fit_table needs a table and what to fit: problem.path=FILE.csv problem.target=COLUMN.")
    if not 0 <= test < 1:
        raise KanpdeError(f"test={test}: the share of the rows that are kept back for the test lies in [0, 1).")
    found, values = from_table(path, target)
    for name in inputs:
        if name not in found:
            raise unknown_name(f"column of '{path}' beside '{target}':", name, found)
    names = inputs or tuple(found)
    columns = {name: numbers(f"the column '{name}'", found[name]) for name in names}
    for name, column in columns.items():
        if hasattr(Points, name) or name.startswith("_"):
            raise KanpdeError(f"the column '{name}' of '{path}' has a name that is taken: give it another one.")
        if not float(column.max()) > float(column.min()):
            raise KanpdeError(f"the column '{name}' of '{path}' is constant: leave it out with inputs=[...].")
    u = numbers(f"the column '{target}'", values)
    order = torch.randperm(len(u), generator=torch.Generator().manual_seed(seed))
    kept_back, trained = order.tensor_split([round(test * len(u))])
    if len(trained) < 2:
        raise KanpdeError(f"the table '{path}' has {len(u)} rows, of which {len(trained)} are left to train on.")
    tested = {name: column[kept_back].numpy() for name, column in columns.items()}
    return Problem(
        geometry=Box(**{name: (float(column.min()), float(column.max())) for name, column in columns.items()}),
        constraints={"rows": observe({name: column[trained] for name, column in columns.items()}, u[trained])},
        reference=measured(tested, u[kept_back].numpy()) if len(kept_back) else None,
    )
