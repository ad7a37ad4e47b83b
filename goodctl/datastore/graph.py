"""Versions as a drawing: which comes first, and the lanes of characters that lead from each to those before it."""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    r"""One line of the drawing.

    Attributes:
        lanes: Characters: a node ``*`` or a passing lane ``|`` at even places, ``/`` and ``\`` between them.
        node: Whose line it is; None for a line that only leads lanes elsewhere.
    """

    lanes: str
    node: str | None = None


def newest_first(parents: Mapping[str, Sequence[str]], moments: Mapping[str, datetime.datetime]) -> list[str]:
    """Nodes in the order in which they are drawn: the newest first, and none before one that stands on it.

    Args:
        parents: Node to those that it stands on; others than the mapping's own nodes are left out of account.
        moments: Node to when it was made. Clocks go wrong, so a node may seem older than what it stands on.

    Returns:
        Every node once.
    """
    rank = {node: n for n, node in enumerate(sorted(parents, key=lambda node: moments[node], reverse=True))}
    children = dict.fromkeys(parents, 0)
    for of_it in parents.values():
        for parent in set(of_it) & children.keys():
            children[parent] += 1
    ready = [(rank[node], node) for node, count in children.items() if not count]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, node = heapq.heappop(ready)
        ordered.append(node)
        for parent in set(parents[node]) & children.keys():
            children[parent] -= 1
            if not children[parent]:
                heapq.heappush(ready, (rank[parent], parent))
    return ordered


def draw(parents: Mapping[str, Sequence[str]]) -> list[Line]:
    """Draw nodes and what they stand on, from the top down.

    Args:
        parents: Node to those that it stands on, in the order of ``newest_first``; others than the mapping's own nodes
            are not drawn.

    Returns:
        A line for each node, and after it those that lead its lanes, and the others, to their places.
    """
    lanes: list[str] = []  # each leads down to the node that it names
    lines: list[Line] = []
    free = -1  # where the node above has ended its lane, if that was the last one
    for node, of_it in parents.items():
        if node not in lanes:
            if free == len(lanes):  # else it would seem to be what the node above stands on
                lines.append(_line(_passing(lanes)))
            lanes.append(node)
        place = lanes.index(node)
        lines.append(_line({**_passing(lanes), 2 * place: "*"}, node))
        wanted = [parent for parent in dict.fromkeys(of_it) if parent in parents]
        if wanted:
            lanes[place] = wanted[0]
            lines += _split(lanes, place, wanted[1:])
            lines += _join(lanes)
            free = -1
        else:
            lines += _closed(lanes, place)
            free = place if place == len(lanes) else -1
    return lines


def _split(lanes: list[str], place: int, further: Sequence[str]) -> list[Line]:
    """Begin a lane for each of the further parents, right of the one at ``place``."""
    lines = []
    for left, parent in enumerate(further, start=place):
        marks = _passing(lanes[: left + 1]) | {2 * lane + 1: "\\" for lane in range(left, len(lanes))}
        lines.append(_line(marks))
        lanes.insert(left + 1, parent)
    return lines


def _join(lanes: list[str]) -> list[Line]:
    """Lead lanes to the same node together: the right one crosses those between, a place a line."""
    lines = []
    right = 1
    while right < len(lanes):
        if lanes[right] not in lanes[:right]:
            right += 1
            continue
        left = lanes.index(lanes[right])
        lines += _closed(lanes, right, always=True)
        lines += [_line({**_passing(lanes), place: "/"}) for place in range(2 * right - 3, 2 * left, -2)]
    return lines


def _closed(lanes: list[str], place: int, *, always: bool = False) -> list[Line]:
    """Take a lane away: those right of it move left; ``always`` leads the lane itself to the left too."""
    moving = range(place if always else place + 1, len(lanes))
    marks = _passing(lanes[:place]) | {2 * lane - 1: "/" for lane in moving}
    del lanes[place]
    return [_line(marks)] if moving else []


def _passing(lanes: Sequence[str]) -> dict[int, str]:
    return {2 * lane: "|" for lane in range(len(lanes))}


def _line(marks: Mapping[int, str], node: str | None = None) -> Line:
    return Line("".join(marks.get(place, " ") for place in range(max(marks, default=-1) + 1)), node)
