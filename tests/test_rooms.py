"""The rooms of the package: imports go down the list, never up and never in a circle."""

import ast
from pathlib import Path

import pytest

import lowlight

PACKAGE = Path(lowlight.__file__).parent

FLOORS = (
    ("errors",),
    ("controls",),
    ("settings", "backend"),
    ("system",),
    ("imaging",),
    ("io",),
    ("networks",),
    ("zoo",),
    ("inference", "data"),
    ("metrics", "export"),
    ("training",),
    ("benchmark",),
    ("cli",),
    ("api", "cluster"),
    ("web",),
    ("commands",),
)
"""Rooms, and the modules beside them, from the ground up; those of one floor do not know each other."""

FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def imported(path: Path) -> set[str]:
    """Rooms that a module imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lowlight":
            parts = (node.module or "").split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("lowlight.")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here in ("__init__", "__main__"):  # the doors
        return
    upwards = {name for name in imported(path) - {here} if FLOOR[name] >= FLOOR[here]}
    assert not upwards, f"{path.relative_to(PACKAGE)} imports {sorted(upwards)}, which is not below {here}"


def test_each_room_says_what_it_is_for():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= FLOOR.keys()
    for room in rooms:
        assert (
            len(ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or "") > 80
        )
