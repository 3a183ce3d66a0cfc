"""Simple polygons, with the triangle and the L-shape as special cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import isfinite, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.geometry.ball import named, shown
from kanpde.geometry.base import SLACK, Geometry
from kanpde.geometry.implicit import And, Corner, Formula, Or, Side, Surface
from kanpde.geometry.patch import Patch
from kanpde.geometry.simplices import measures, place_in

Vertex = tuple[float, float]


class Polygon(Geometry):
    """The polygon with these vertices in order, in either direction; it need not be convex.

    Boundary names: `edge0` from the first vertex to the second, and so on, and `all`.
    Raises KanpdeError for fewer than three vertices, for edges that meet elsewhere than at their ends, and for edges
    without length.
    """

    def __init__(self, vertices: Sequence[Sequence[float]], coordinates: Sequence[str] = ("x", "y")) -> None:
        self.vertices = tuple((float(v[0]), float(v[1])) for v in map(checked, vertices))
        self.names = tuple(coordinates)
        if len(self.names) != 2 or self.names[0] == self.names[1]:
            raise KanpdeError(f"coordinates=({', '.join(self.names)}): a polygon has two coordinates.")
        corners = np.array(self.vertices)
        if len(corners) < 3:
            raise KanpdeError(f"a polygon needs at least three vertices, {len(corners)} were given.")
        self.lower, self.upper = tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist())
        self._check(corners)
        area = 0.5 * np.sum(cross(corners, np.roll(corners, -1, axis=0)))
        self._order = list(range(len(corners))) if area > 0 else list(range(len(corners)))[::-1]
        self._surfaces = [line(*(self._edge(i) if area > 0 else self._edge(i)[::-1])) for i in range(len(corners))]
        self.formula = self._found_formula()

    def written(self) -> str:
        return f"Polygon([{', '.join(map(shown, self.vertices))}]){named(self.names)}"

    def interior(self) -> Patch:
        triangles = self._triangles
        return Patch("interior", 2, float(measures(triangles).sum()), place_in(triangles))

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        edges = {}
        for i, surface in enumerate(self._surfaces):
            start, end = (np.array(v) for v in self._edge(i))
            along = (end - start) if self._order[0] == 0 else (start - end)
            length = float(np.linalg.norm(along))
            normal = (float(along[1]) / length, -float(along[0]) / length)
            place = place_in(np.stack([start, end])[None])
            edges[f"edge{i}"] = (Patch(f"edge{i}", 1, length, place, normal, surface=surface),)
        return {**edges, "all": tuple(patch for patches in edges.values() for patch in patches)}

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        start = points.new_tensor(self.vertices)
        end = start.roll(-1, dims=0)
        inside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        nearest = points.new_full((len(points),), float("inf"))
        for a, b in zip(start, end, strict=True):
            along, offset = b - a, points - a
            # An edge from below to above, or the other way, is crossed by the ray along the first coordinate.
            crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
            left = along[0] * offset[:, 1] - along[1] * offset[:, 0]
            inside ^= crosses & ((left > 0) == (b[1] > a[1]))
            share = ((offset @ along) / (along @ along)).clamp(0, 1)
            nearest = torch.minimum(nearest, (offset - share[:, None] * along).norm(dim=1))
        width = abs(slack) * self.size
        return inside | (nearest <= width) if slack >= 0 else inside & (nearest > width)

    def _edge(self, number: int) -> tuple[Vertex, Vertex]:
        return self.vertices[number], self.vertices[(number + 1) % len(self.vertices)]

    def _check(self, corners: NDArray[np.float64]) -> None:
        """Raise KanpdeError unless the edges meet at their ends only."""
        n, least = len(corners), SLACK * self.size
        start, end = corners, np.roll(corners, -1, axis=0)
        for i in range(n):
            if np.linalg.norm(end[i] - start[i]) <= least:
                raise KanpdeError(f"vertex {i} of the polygon, {shown(start[i])}, is there twice: leave one out.")
        for i in range(n):
            for j in range(i + 1, n):
                neighbours = j == i + 1 or (i == 0 and j == n - 1)
                if meet(start[i], end[i], start[j], end[j], least, neighbours):
                    raise KanpdeError(f"edges {i} and {j} of the polygon meet: give the vertices in order.")

    @cached_property
    def _triangles(self) -> NDArray[np.float64]:
        """Triangles (T, 3, 2) that make up the polygon, by cutting off ears (Meisters 1975)."""
        corners = np.array(self.vertices)
        left, found = list(self._order), []
        while len(left) > 3:
            sizes = []
            for k in range(len(left)):
                a, b, c = (corners[left[(k + step) % len(left)]] for step in (-1, 0, 1))
                others = corners[[v for v in left if v not in (left[k - 1], left[k], left[(k + 1) % len(left)])]]
                turn = cross(b - a, c - b)
                ear = turn > 0 and not any(bool(in_triangle(p, a, b, c)) for p in others)
                lengths = sum(float((q - p) @ (q - p)) for p, q in ((a, b), (b, c), (c, a)))
                sizes.append(float(turn) / lengths if ear else -1.0)
            best = int(np.argmax(sizes))
            if sizes[best] < 0:  # vertices on a straight line have no ear of their own
                flat = [abs(cross(*turns(corners, left, k))) for k in range(len(left))]
                del left[int(np.argmin(flat))]
                continue
            found.append([left[best - 1], left[best], left[(best + 1) % len(left)]])
            del left[best]
        return corners[np.array([*found, left])]

    def _found_formula(self) -> Formula | None:
        """Return the polygon as a formula of the lines of its edges, each used once (Dobkin et al. 1993).

        Edges of the convex hull are joined by "and"; a pocket between two vertices of the hull is, seen from its other
        side, such a polygon again, and its edges are joined by "or". None if points prove the formula wrong.
        """
        chain = [*self._order, self._order[0]]
        start = int(np.lexsort(np.array(self.vertices)[self._order].T)[0])
        chain = [*self._order[start:], *self._order[: start + 1]]
        formula = self._chain(chain, True)
        inside = formula.level(self.sample(2000)) > 0
        return formula if bool(inside.all()) else None

    def _chain(self, chain: list[int], convex: bool) -> Formula:
        """Return the formula of the edges along a chain whose hull has the chain's ends as neighbours, or as one."""
        corners = np.array(self.vertices)
        hull = [0]
        while hull[-1] < len(chain) - 1:
            # The next vertex of the hull has all of the chain's later ones on its inner side.
            here = hull[-1]
            best = here + 1
            for other in range(here + 2, len(chain)):
                if chain[other] == chain[here]:
                    continue
                turn = cross(corners[chain[best]] - corners[chain[here]], corners[chain[other]] - corners[chain[here]])
                best = other if (turn < 0 if convex else turn > 0) else best
            hull.append(best)
        parts: list[Formula] = []
        for a, b in pairwise(hull):
            if b == a + 1:
                parts.append(Side(self._surfaces[self._number(chain[a], chain[b])]))
            else:
                parts.append(self._chain(chain[a : b + 1], not convex))
        if convex:
            return And(*parts)
        first, *rest = parts
        if isinstance(first, Side) and len(rest) == 1 and isinstance(rest[0], Side):
            before, vertex, after = (corners[chain[i]] for i in (0, 1, 2))
            start, end = (float(np.arctan2(*(p - vertex)[::-1])) for p in (after, before))
            angle = (end - start) % (2 * pi)  # the inside is on the left of the way to the vertex and on
            return Corner(first, rest[0], (float(vertex[0]), float(vertex[1])), start + angle / 2, angle)
        return Or(*parts)

    def _number(self, a: int, b: int) -> int:
        """Return the number of the edge between two neighbouring vertices."""
        return a if (a + 1) % len(self.vertices) == b else b


class Triangle(Polygon):
    """The triangle with these three vertices; its boundary is `edge0`, `edge1`, `edge2` and `all`."""

    def __init__(
        self, a: Sequence[float], b: Sequence[float], c: Sequence[float], coordinates: Sequence[str] = ("x", "y")
    ) -> None:
        super().__init__([a, b, c], coordinates)


class LShape(Polygon):
    """The square (-size, size)^2 without the quarter x > 0, y < 0, moved so that the inner corner is at `corner`.

    `edge0` leaves the inner corner along x, and `edge5` arrives there from below.
    """

    def __init__(
        self, size: float = 1.0, corner: Sequence[float] = (0.0, 0.0), coordinates: Sequence[str] = ("x", "y")
    ) -> None:
        if not (size > 0 and isfinite(size)):
            raise KanpdeError(f"size={size}: give a positive number.")
        x, y = corner
        steps = ((0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1))
        super().__init__([(x + size * i, y + size * j) for i, j in steps], coordinates)


def checked(vertex: Sequence[float]) -> Sequence[float]:
    """Return a vertex; raise KanpdeError unless it has two finite coordinates."""
    if len(vertex) != 2 or not all(map(isfinite, vertex)):
        raise KanpdeError(f"the vertex {tuple(vertex)} of a polygon needs two finite coordinates.")
    return vertex


def line(start: Vertex, end: Vertex) -> Surface:
    """Return the line through two points, whose inner side is on the left of the way from one to the other."""
    (a, b), (c, d) = start, end
    length = float(np.hypot(c - a, d - b))
    normal = ((b - d) / length, (c - a) / length)

    def left(x: Tensor) -> Tensor:
        return (x[:, 0] - a) * normal[0] + (x[:, 1] - b) * normal[1]

    return Surface(left, lambda x: -left(x))


def cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross products of vectors in the plane."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def turns(corners: NDArray[np.float64], left: list[int], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edges before and after a vertex."""
    a, b, c = (corners[left[(k + step) % len(left)]] for step in (-1, 0, 1))
    return b - a, c - b


def in_triangle(p: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> bool:
    """Return whether a point lies in the closed triangle a, b, c, given counterclockwise."""
    return bool(cross(b - a, p - a) >= 0 and cross(c - b, p - b) >= 0 and cross(a - c, p - c) >= 0)


def meet(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
    d: NDArray[np.float64],
    least: float,
    neighbours: bool,
) -> bool:
    """Return whether the segments ab and cd meet; neighbours, which share one end, only if they run back."""
    if neighbours:
        shared, one, other = (b, a, d) if np.allclose(b, c, rtol=0, atol=least) else (a, b, c)
        u, v = one - shared, other - shared
        return bool(abs(cross(u, v)) <= least * np.linalg.norm(u) and u @ v > 0)
    across = cross(b - a, c - a), cross(b - a, d - a), cross(d - c, a - c), cross(d - c, b - c)
    lengths = [np.linalg.norm(b - a)] * 2 + [np.linalg.norm(d - c)] * 2
    signs = [0 if abs(x) <= least * size else int(np.sign(x)) for x, size in zip(across, lengths, strict=True)]
    if signs[0] * signs[1] < 0 and signs[2] * signs[3] < 0:
        return True
    ends = ((a, b, c, signs[0]), (a, b, d, signs[1]), (c, d, a, signs[2]), (c, d, b, signs[3]))
    return any(
        sign == 0 and bool(((p >= np.minimum(s, e) - least) & (p <= np.maximum(s, e) + least)).all())
        for s, e, p, sign in ends
    )
