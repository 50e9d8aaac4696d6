"""What `pip install .` installs is whole, and what the image installs is pinned."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from app import __version__
from tests.system import ROOT

_NAME = re.compile(r"[A-Za-z0-9._-]+")


PUBLISHER = ROOT / "app" / "publisher" / "pyproject.toml"
"""Makes a package of its own of that folder, for the bots."""


def project(file: Path = ROOT / "pyproject.toml") -> dict[str, Any]:
    return tomllib.loads(file.read_text())


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*files: str) -> list[str]:
    """The packages that the requirement files name with a version."""
    lines = "\n".join((ROOT / file).read_text() for file in files).splitlines()
    return [normalized(found[0]) for line in lines if "==" in line and (found := _NAME.match(line))]


def with_what_it_needs(name: str, found: set[str]) -> set[str]:
    """`found`, with a package, and those that it needs on this machine."""
    if name not in found:
        found.add(name)
        for other in needed_by(name):
            with_what_it_needs(other, found)
    return found


def needed_by(name: str) -> Iterator[str]:
    for requirement in distribution(name).requires or []:
        words, _, marker = requirement.partition(";")
        other = normalized(_NAME.match(words)[0])  # type: ignore[index]
        if "extra" not in marker and is_installed(other):
            yield other


def is_installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def test_every_package_that_the_image_gets_is_pinned_once() -> None:
    runtime = pins("requirements/runtime.txt")
    pinned = runtime + pins("requirements/constraints.txt")
    needed: set[str] = set()
    for name in runtime:
        with_what_it_needs(name, needed)
    assert needed - set(pinned) == set()
    every = pinned + pins("requirements.txt", "requirements/dev.txt", "requirements/bench.txt")
    assert sorted(every) == sorted(set(every))


def test_every_file_of_a_package_is_installed() -> None:
    packaged = {
        path
        for package, patterns in project()["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    files = {
        path
        for folder in ("app", "tasks")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert files - {PUBLISHER} == packaged
    folders = {path.parent for folder in ("app", "tasks") for path in (ROOT / folder).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_version_is_that_of_the_program() -> None:
    assert project()["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "app.__version__"}
    assert project(PUBLISHER)["project"]["version"] == __version__
