"""The package as it is shipped: what pyproject.toml, README and constraints.txt promise is so."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sandtable

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
PARTS = {name.removeprefix("sandtable."): folder for name, folder in SETUPTOOLS["package-dir"].items() if "." in name}

USE = "python3 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt -e . && sandtable backtest"
TEST = 'python3 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt -e ".[test]" && pytest'


def package_data() -> list[Path]:
    """Return the files that the package-data table of pyproject.toml matches."""
    directories = SETUPTOOLS["package-dir"]
    return [
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (ROOT / directories[package]).glob(pattern)
    ]


def requirements() -> dict[str, Requirement]:
    """Return what the package and its extras require, by canonical name."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins() -> dict[str, Version]:
    """Return what constraints.txt pins, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def test_every_folder_with_an_init_file_is_listed_as_a_package():
    on_disk = {"sandtable"}
    for part, folder in PARTS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            on_disk.add(".".join(["sandtable", part, *init.parent.relative_to(ROOT / folder).parts]))
    assert sorted(SETUPTOOLS["packages"]) == sorted(on_disk)


def test_every_folder_with_modules_has_an_init_file():
    folders = {path.parent for folder in PARTS.values() for path in (ROOT / folder).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout has the links")
@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_linked_beside_the_root_package(part):
    link = ROOT / "src" / "sandtable" / part
    assert link.is_symlink()
    assert os.readlink(link) == f"../../{PARTS[part]}"


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    assert sandtable.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_every_file_that_is_no_module_is_package_data():
    folders = [ROOT / "src" / "sandtable", *(ROOT / folder for folder in PARTS.values())]
    others = {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".py" and path.name[0] != "."
        if not any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)
    }
    assert others <= set(package_data())


def test_templates_and_the_typing_marker_are_package_data():
    names = {path.name for path in package_data()}
    assert {"py.typed", "report.html.j2", "blocks.html.j2", "report.css", "report.js"} <= names


def test_the_console_script_exists():
    from importlib import import_module

    module, function = PROJECT["project"]["scripts"]["sandtable"].split(":")
    assert callable(getattr(import_module(module), function))


def test_readme_has_the_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("python3 -m venv")] == [USE, TEST]


def test_every_requirement_is_pinned_within_its_range():
    pinned = pins()
    for name, requirement in requirements().items():
        assert name in pinned, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} does not allow {pinned[name]}"


def test_nothing_is_pinned_that_is_not_required():
    build = {canonicalize_name(Requirement(line).name) for line in PROJECT["build-system"]["requires"]}
    assert set(pins()) - set(requirements()) <= build | {"build"}


def test_the_sdist_names_files_that_exist():
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        command, *names = line.split()
        if command == "include":
            assert [name for name in names if not (ROOT / name).exists()] == []
        if command == "recursive-include":
            assert (ROOT / names[0]).is_dir()


def test_no_file_names_a_machine_or_a_registry():
    registry = re.compile(r"\b(pypi\.org|pythonhosted|download\.pytorch|index-url|find-links|/home/|/root/)")
    files = ["README.md", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "pyproject.toml", ".ci/run"]
    paths = [ROOT / name for name in files if (ROOT / name).exists()] + sorted((ROOT / "docs").glob("*.md"))
    assert [path.name for path in paths if registry.search(path.read_text(encoding="utf-8"))] == []
