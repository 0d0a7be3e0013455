"""Generia's world generator as a Dagster code location: assets (assets), task types (tasks), prompts and documents (content),
durable execution (durable), the command line (cli).

Imports resources/ and nothing of sensors/ or emulators/; only definitions.py, the composition root, knows the sensors.
"""

import atexit
import gc
from pathlib import Path

# What a process imports stays until it ends, and Python's collector finds next to nothing: with its own threshold (700) it takes a
# sixth of an import and 4 % of a run, and at the end another second to look through everything once more.
gc.set_threshold(10_000)
atexit.register(gc.freeze)


def generia_version() -> str:
    """The installed version; in an image, where no package is installed, that of its pyproject.toml."""
    import tomllib
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("generia")
    except PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
        return str(project["project"]["version"])
