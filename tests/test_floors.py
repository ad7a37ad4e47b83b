"""The import rules of docs/explanation/architecture.md, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "goodctl"

FLOORS = {
    "errors": 0,
    "progress": 0,
    "interruption": 0,
    "cache_root": 0,
    "corpus": 1,
    "datastore": 1,
    "models": 1,
    "encoding": 2,
    "steering": 2,
    "index": 2,
    "scoring": 2,
    "evaluation": 2,
    "serving": 3,
    "workflows": 3,
    "cli": 4,
    "__main__": 5,
}
"""A module imports from lower floors and from its own room; rooms of one floor do not know each other."""

SAME_FLOOR = {("progress", "errors"), ("interruption", "errors")}


def modules() -> Iterator[tuple[str, Path]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            yield room, file


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "goodctl":
                yield from (f"goodctl.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(("room", "file"), modules(), ids=lambda value: getattr(value, "name", value))
def test_nothing_imports_a_higher_floor(room: str, file: Path) -> None:
    for module in imported(file):
        parts = module.split(".")
        if parts[0] != "goodctl" or len(parts) == 1 or parts[1] not in FLOORS:
            continue
        other = parts[1]
        allowed = other == room or FLOORS[other] < FLOORS[room] or (room, other) in SAME_FLOOR
        assert allowed, f"{file.relative_to(PACKAGE)} must not import {module}"


def test_every_room_has_a_floor() -> None:
    assert {room for room, _ in modules()} == set(FLOORS)


def test_there_are_no_cycles_between_files() -> None:
    graph: dict[str, set[str]] = {}
    for _, file in modules():
        name = "goodctl." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        graph[name.removesuffix(".__init__")] = {module for module in imported(file) if module.startswith("goodctl.")}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in graph.get(name, set()):
                if not other.startswith(name + ".") and not name.startswith(other + "."):
                    visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_one_importer() -> None:
    importers = {file for _, file in modules() if "icechunk" in {name.split(".")[0] for name in imported(file)}}
    assert {file.parent for file in importers} == {PACKAGE / "datastore" / "repository"}


def test_faiss_is_imported_when_it_is_needed() -> None:
    assert not [file for _, file in modules() if "faiss" in {name.split(".")[0] for name in imported(file)}]


def test_only_the_command_line_prints() -> None:
    for room, file in modules():
        if room in {"cli", "__main__"}:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{file} prints"


def test_files_stay_small() -> None:
    long = {file.name: lines for _, file in modules() if (lines := file.read_text("utf-8").count("\n")) > 320}
    assert not long
