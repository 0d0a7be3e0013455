"""The folder where the embedded services keep their data (GENERIA_DATA_DIR), and who uses it now.

Here: ``lock_data_dir`` for the commands that start services, ``running_generator`` for those that look for services another one
started, and where they look when they are called in another folder. A folder has one user at a time (a lock that dies with its
process); a demo that finds it taken uses a folder beside it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import IO

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, ValidationError

from generia_assets.cli.console import CommandError

DATA_DIR = ".generia"
"""The folder's name in the current folder, where GENERIA_DATA_DIR is not set."""
CHECKOUT = Path(__file__).resolve().parents[2]
ENV_FILE = Path(".env")
LOCK = "lock"
RUNNING = "running.json"
BESIDE = "beside"


class RunningGenerator(BaseModel):
    """The services that run now, as other commands find them."""

    model_config = ConfigDict(frozen=True)

    command: str
    pid: int
    mongodb_uri: str
    kafka_bootstrap_servers: str
    kafka_api_version: str
    dagster_home: str
    code_server: str = ""
    """host:port; '' where there is none."""


class DataDir:
    """A data directory that is locked for this process, and what it holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mongodb = root / "mongodb"
        self.dagster = root / "dagster"  # Dagster's own storage, where DAGSTER_HOME is not set
        self.logs = root / "logs"  # one file a service
        self.media = root / "media"  # the local platform's pictures
        self.gallery = root / "gallery"  # the pages of finished worlds, a folder each
        self.workspace = root / "workspace.yaml"  # the address of the code server, for daemon and webserver

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def announce(self, running: RunningGenerator) -> None:
        """Write down where the services are, for other commands."""
        temporary = self.root / f"{RUNNING}.new"
        temporary.touch(mode=0o600)  # a URI may hold a password
        temporary.write_text(running.model_dump_json())
        temporary.replace(self.root / RUNNING)


@contextmanager
def lock_data_dir(root: Path, *, allow_beside: bool) -> Iterator[DataDir]:
    """Lock the folder. If another process has locked it: the next one beside it, or ``CommandError``, which names that process."""
    beside = (root.absolute() / f"{BESIDE}-{number}" for number in count(1)) if allow_beside else ()
    for place in chain([root.absolute()], beside):
        place.mkdir(parents=True, exist_ok=True)
        with (place / LOCK).open("a+") as lock:
            if not _locked(lock, fcntl.LOCK_EX):
                continue
            (place / RUNNING).unlink(missing_ok=True)
            try:
                yield DataDir(place)
            finally:
                (place / RUNNING).unlink(missing_ok=True)
            return
    user = running_generator(root)
    who = f"`generia {user.command}` (process {user.pid})" if user else "another `generia` command that is starting or ending"
    raise CommandError(f"{root} is in use by {who}: end that one first, or set GENERIA_DATA_DIR to another folder")


def running_generator(root: Path) -> RunningGenerator | None:
    """The services that run from this folder now, or None."""
    try:
        with (root / LOCK).open() as lock:
            if _locked(lock, fcntl.LOCK_SH):  # nobody holds the lock: the file is left over
                return None
        return RunningGenerator.model_validate_json((root / RUNNING).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def use_running_data_dir() -> None:
    """Use the folder of the generator that runs from this checkout, whatever the current folder is.

    Only where GENERIA_DATA_DIR is not set and no generator runs from the current folder.
    """
    if _folder_is_set() or running_generator(Path(DATA_DIR)) is not None or running_generator(CHECKOUT / DATA_DIR) is None:
        return
    os.environ["GENERIA_DATA_DIR"] = str(CHECKOUT / DATA_DIR)


def explain_none_running(data_dir: Path) -> str:
    """Where a running generator was looked for and not found, as a sentence; '' if one runs there."""
    if running_generator(data_dir) is not None:
        return ""
    folders = dict.fromkeys([data_dir.absolute()] if _folder_is_set() else [data_dir.absolute(), CHECKOUT / DATA_DIR])
    return f" No `generia dev` runs from {' or '.join(str(folder) for folder in folders)} (GENERIA_DATA_DIR says where to look)."


def _folder_is_set() -> bool:
    return bool(os.environ.get("GENERIA_DATA_DIR") or dotenv_values(ENV_FILE).get("GENERIA_DATA_DIR"))


def service_logs(root: Path) -> dict[str, Path]:
    """The logs of the services that were started from this folder, by service."""
    return {path.stem: path for path in sorted(DataDir(root.absolute()).logs.glob("*.log"))}


def _locked(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
