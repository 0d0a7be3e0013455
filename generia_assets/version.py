"""The generator's version."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def generia_version() -> str:
    """The installed version; in an image, where no package is installed, that of its pyproject.toml."""
    try:
        return version("generia")
    except PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
        return str(project["project"]["version"])
