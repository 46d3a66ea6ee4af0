"""Sphinx configuration: ``make docs``. Nothing is fetched while it builds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from lsst.ts.mtmount import __version__

project = "ts-mtmount-telemetry"
author = "the ts-mtmount-telemetry developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
# The fragments become the changelog.
exclude_patterns = ["_build", "changes"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
default_role = "py:obj"
html_theme = "furo"
html_title = "ts-mtmount-telemetry"
html_static_path: list[str] = []
html_show_copyright = False
autodoc_member_order = "groupwise"
autodoc_typehints = "none"
numpydoc_show_class_members = False
templates_path: list[str] = []


class ProgramHelp(Directive):
    """Show what a program prints with ``--help``: the reference cannot fall behind it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Run the program."""
        program = Path(sys.executable).with_name(self.arguments[0])
        text = subprocess.run(
            [program, "--help"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        ).stdout
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive ``program-help``."""
    app.add_directive("program-help", ProgramHelp)
    return {"parallel_read_safe": True}
