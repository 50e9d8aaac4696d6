"""Imports run one way, so that the core can be read, and tested, without anything around it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CORE = {"amounts", "book", "channels", "errors", "forms", "memo", "messages", "news"}
EDGE = {
    "redis",
    "celery",
    "kombu",
    "firebase_admin",
    "sqlite3",
    "time",
    "os",
    "socket",
    "threading",
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_core_needs_nothing_but_itself() -> None:
    for name in CORE:
        for module in imports_of(ROOT / "app" / f"{name}.py"):
            package, _, rest = module.partition(".")
            assert package not in EDGE, f"app/{name}.py imports {module}"
            assert package != "app" or rest in CORE, f"app/{name}.py imports {module}"


def test_only_the_commands_know_the_tasks() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        if path.name != "__main__.py":
            assert not {m for m in imports_of(path) if m.partition(".")[0] == "tasks"}, path


def test_only_the_commands_know_the_development_stack() -> None:
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "tasks").glob("*.py")]:
        if not {path.parent.name, path.parent.parent.name} & {"commands", "dev"}:
            assert not {m for m in imports_of(path) if m.startswith("app.dev")}, path


def test_no_import_goes_in_a_circle() -> None:
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): imports_of(path)
        for package in ("app", "tasks")
        for path in (ROOT / package).rglob("*.py")
    }

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        for needed in graph.get(module, ()):
            visit(needed, (*trail, module))

    for module in graph:
        visit(module, ())
