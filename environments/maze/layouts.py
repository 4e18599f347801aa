"""Layouts of the mazes, and what follows from them: free cells, moves, distances."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

Cell = tuple[int, int]
"""Row and column, counted from 0 at the top left, border included."""

MOVES: dict[str, Cell] = {
    "move left": (0, -1),
    "move right": (0, 1),
    "move up": (-1, 0),
    "move down": (1, 0),
}
_SIDES: dict[str, Cell] = {
    "to your right": (0, 1),
    "to your left": (0, -1),
    "above you": (-1, 0),
    "below you": (1, 0),
}


@dataclass(frozen=True)
class Layout:
    """A walled grid with one goal.

    Attributes:
        rows: ``#`` is a wall, a blank is free; the border is walls all round.
        goal: a free cell that every free cell leads to.
        published_start: where LMRL-Gym's evaluation begins; None where it names no start.
    """

    rows: tuple[str, ...]
    goal: Cell
    published_start: Cell | None = None

    def is_wall(self, cell: Cell) -> bool:
        """Whether a cell inside the grid is a wall."""
        return self.rows[cell[0]][cell[1]] == "#"

    @cached_property
    def starts(self) -> tuple[Cell, ...]:
        """Every free cell but the goal, row by row."""
        cells = ((r, c) for r, row in enumerate(self.rows) for c in range(len(row)))
        return tuple(cell for cell in cells if not self.is_wall(cell) and cell != self.goal)

    def walls_around(self, cell: Cell) -> list[str]:
        """On which sides a wall is, in the game's words and order."""
        return [side for side, step in _SIDES.items() if self.is_wall(_add(cell, step))]

    def next_cell(self, cell: Cell, move: str) -> Cell:
        """Where a move leads: one cell on, or nowhere if a wall is there."""
        ahead = _add(cell, MOVES[move])
        return cell if self.is_wall(ahead) else ahead

    @cached_property
    def distances(self) -> dict[Cell, int]:
        """Fewest moves from every free cell to the goal, by breadth-first search."""
        found = {self.goal: 0}
        queue = deque([self.goal])
        while queue:
            cell = queue.popleft()
            for move in MOVES:
                neighbour = self.next_cell(cell, move)
                if neighbour not in found:
                    found[neighbour] = found[cell] + 1
                    queue.append(neighbour)
        return found


def _add(cell: Cell, step: Cell) -> Cell:
    return cell[0] + step[0], cell[1] + step[1]


LAYOUTS: dict[str, Layout] = {
    "double_t": Layout(
        (
            "#############",
            "#     #     #",
            "### ##### ###",
            "### ##### ###",
            "### ##### ###",
            "###       ###",
            "###### ######",
            "###### ######",
            "###### ######",
            "#############",
        ),
        goal=(8, 6),
        published_start=(1, 1),
    ),
    "umaze": Layout(
        ("#####", "#   #", "# # #", "# # #", "#####"), goal=(3, 3), published_start=(3, 1)
    ),
    "medium": Layout(
        (
            "########",
            "#  #   #",
            "#  # # #",
            "##    ##",
            "### #  #",
            "#    # #",
            "#  #   #",
            "########",
        ),
        goal=(6, 6),
    ),
    "large": Layout(
        (
            "#########",
            "#     # #",
            "# # # # #",
            "#   #   #",
            "# ### ###",
            "#       #",
            "### ### #",
            "#   #   #",
            "# # #####",
            "# # #   #",
            "#     # #",
            "#########",
        ),
        goal=(10, 7),
    ),
}
"""LMRL-Gym's four layouts. It plays the first two; the goals of the other two are ours."""
