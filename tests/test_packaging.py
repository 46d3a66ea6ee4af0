"""The recipes for other packagers say the same as pyproject.toml."""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lsst.ts.mtmount import __version__

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "packaging" / "conda"

#: Packages that conda-forge knows by another name.
CONDA_NAMES = {
    "confluent-kafka": "python-confluent-kafka",
    "prometheus-client": "prometheus_client",
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    text = re.sub(r"{%.*?%}", "", (RECIPE / "meta.yaml").read_text(), flags=re.DOTALL)
    content: dict[str, Any] = yaml.safe_load(re.sub(r"{{ (.*?) }}", r"<\1>", text))
    return content


@pytest.fixture(scope="module")
def python_versions(project: dict[str, Any]) -> list[str]:
    classifiers = "\n".join(project["project"]["classifiers"])
    return re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.MULTILINE)


def as_conda(requirement: str) -> str:
    found = re.fullmatch(r"([\w-]+)(.*)", requirement)
    assert found
    name, versions = found.groups()
    return f"{CONDA_NAMES.get(name.lower(), name.lower())} {versions}"


def test_conda_requirements(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    wanted = recipe["requirements"]
    assert wanted["run"] == ["python", *map(as_conda, project["project"]["dependencies"])]
    assert wanted["host"] == ["python", "pip", *map(as_conda, project["build-system"]["requires"])]
    assert "<compiler('cxx')>" in wanted["build"]


def test_conda_names_the_extras(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    constraints = recipe["requirements"]["run_constrained"]
    for requirement in itertools.chain(*extras.values()):
        assert as_conda(requirement) in constraints


def test_conda_metadata(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    assert recipe["package"]["name"] == project["project"]["name"]
    assert recipe["about"]["summary"] == project["project"]["description"]
    assert recipe["about"]["license"] == project["project"]["license"]
    # Compiled: a package for each Python, and none for all.
    assert "noarch" not in recipe["build"]
    script = (RECIPE / "meta.yaml").read_text()
    (path, pattern) = re.findall(r"load_file=\"(.*?)\",\s*regex_pattern='(.*?)'", script)[0]
    version = re.search(pattern, (RECIPE / path).read_text())
    assert version
    assert version.group(1).count(".") == 2
    assert (RECIPE / recipe["source"]["path"]).resolve() == ROOT.resolve()


def test_every_python_is_built_for(project: dict[str, Any], python_versions: list[str]) -> None:
    assert python_versions[0] == project["project"]["requires-python"].removeprefix(">=")
    variants = yaml.safe_load((RECIPE / "conda_build_config.yaml").read_text())
    assert variants["python"] == python_versions
    wheels = project["tool"]["cibuildwheel"]["build"].split()
    assert wheels == [f"cp{version.replace('.', '')}-manylinux_x86_64" for version in python_versions]


def test_recipes_run_programs_that_exist(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    commands = [*recipe["test"]["commands"], project["tool"]["cibuildwheel"]["test-command"]]
    programs = re.findall(r"\w+_mtmount_telemetry_client", " ".join(commands))
    assert programs
    assert set(programs) <= set(project["project"]["scripts"])


def test_shell_completions_are_up_to_date(tmp_path: Path) -> None:
    committed = ROOT / "packaging" / "completion"
    subprocess.run([sys.executable, ROOT / "tools" / "make_completions", tmp_path], check=True, timeout=60)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert made
    there = {path.relative_to(committed): path.read_text() for path in committed.rglob("*") if path.is_file()}
    assert there == made, "run tools/make_completions"


def test_the_news_can_become_a_section_of_this_version() -> None:
    """Towncrier refuses a version whose section is there already."""
    sections = re.findall(r"^## (\S+)", (ROOT / "doc" / "changelog.md").read_text(), re.MULTILINE)
    fragments = sorted((ROOT / "doc" / "changes").glob("*.md"))
    assert len(sections) == len(set(sections))
    assert (__version__ in sections) == (not fragments), (
        "either `towncrier build --version` of _version.py, or a new version"
    )
    for fragment in fragments:
        assert fragment.read_text().endswith(".\n"), fragment.name
