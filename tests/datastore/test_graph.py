from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from goodctl.datastore.graph import Line, draw, newest_first

START = datetime.datetime(2026, 10, 1, tzinfo=datetime.UTC)


def text(parents: dict[str, list[str]]) -> str:
    return "\n".join(line.lanes.replace("*", line.node or "*") for line in draw(parents))


def test_a_line_of_versions() -> None:
    assert text({"c": ["b"], "b": ["a"], "a": []}) == "c\nb\na"


def test_a_branch_joins_what_it_began_at() -> None:
    assert text({"d": ["b"], "c": ["b"], "b": ["a"], "a": []}) == "d\n| c\n|/\nb\na"


def test_lanes_cross() -> None:
    parents = {"f": ["b"], "e": ["c"], "d": ["b"], "c": ["b"], "b": []}
    assert text(parents) == "f\n| e\n| | d\n| |/\n|/|\n| c\n|/\nb"


def test_two_parents() -> None:
    assert text({"d": ["c", "b"], "c": ["a"], "b": ["a"], "a": []}) == "d\n|\\\nc |\n| b\n|/\na"


def test_unrelated_versions_do_not_seem_related() -> None:
    assert text({"b": [], "a": []}) == "b\n\na"


@st.composite
def graphs(draw_: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, datetime.datetime]]:
    count = draw_(st.integers(1, 12))
    parents = {
        str(n): [str(p) for p in draw_(st.lists(st.integers(0, n - 1), max_size=3, unique=True))] if n else []
        for n in range(count)
    }
    hours = draw_(st.lists(st.integers(0, 50), min_size=count, max_size=count))
    return parents, {str(n): START + datetime.timedelta(hours=hour) for n, hour in enumerate(hours)}


@given(graphs())
def test_each_node_once_and_none_before_what_stands_on_it(
    graph: tuple[dict[str, list[str]], dict[str, datetime.datetime]],
) -> None:
    parents, moments = graph
    order = newest_first(parents, moments)
    assert sorted(order) == sorted(parents)
    place = {node: n for n, node in enumerate(order)}
    assert all(place[node] < place[parent] for node, of_it in parents.items() for parent in of_it)
    rising = {node: START + datetime.timedelta(hours=int(node)) for node in parents}
    assert newest_first(parents, rising) == sorted(parents, key=int, reverse=True)


@given(graphs())
def test_the_lines_lead_from_each_node_to_its_parents(
    graph: tuple[dict[str, list[str]], dict[str, datetime.datetime]],
) -> None:
    parents, moments = graph
    ordered = {node: parents[node] for node in newest_first(parents, moments)}
    lines = draw(ordered)
    assert [line.node for line in lines if line.node] == list(ordered)
    assert traced(lines) == {node: set(of_it) for node, of_it in parents.items()}


def traced(lines: list[Line]) -> dict[str, set[str]]:
    """What a reader follows with a finger: node to the nodes that its lanes lead to."""
    found: dict[str, set[str]] = {}
    lanes: dict[int, set[str]] = {}  # place to the nodes that a lane comes from
    arriving: dict[int, set[str]] = {}  # by a stroke to the left; joins the lane there, or crosses it
    for line in lines:
        marks = {place: mark for place, mark in enumerate(line.lanes) if mark != " "}
        assert all(mark in ("/\\" if place % 2 else "*|") for place, mark in marks.items()), line.lanes
        assert ("*" in marks.values()) == (line.node is not None)
        below: dict[int, set[str]] = {}
        leftwards: dict[int, set[str]] = {}
        used = set()
        for place in sorted(lanes.keys() | arriving.keys()):
            stays = {place, place + 1} & {p for p in marks if marks[p] in "*|\\"}
            left = marks.get(place - 1) == "/"
            own, guests = lanes.get(place, set()), arriving.get(place, set())
            if left and place in marks and own and guests:  # crosses the lane
                leftwards[place - 2], guests = guests, set()
                used.add(place - 1)
            elif left:
                assert place not in marks
                leftwards[place - 2] = own | guests
                used.add(place - 1)
                continue
            for stroke in stays:
                used.add(stroke)
                target = place if stroke == place else place + 2
                below[target] = below.get(target, set()) | own | guests
        for place, mark in marks.items():
            if mark == "*":
                assert line.node is not None
                for child in below.get(place, set()):
                    found[child].add(line.node)
                found[line.node] = set()
                below[place] = {line.node}
                used.add(place)
        assert used == set(marks), f"a stroke comes from nowhere: {line.lanes!r}"
        lanes, arriving = below, leftwards
    return found
