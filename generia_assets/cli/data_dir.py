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
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, ValidationError

from generia_assets.cli.console import CommandError

DATA_DIR = ".generia"
"""The folder's name, below the one that a command is called in, where GENERIA_DATA_DIR is not set."""
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


@dataclass(frozen=True)
class DataDir:
    """A claimed folder."""

    root: Path

    @property
    def mongodb(self) -> Path:
        """The embedded mongod's data."""
        return self.root / "mongodb"

    @property
    def dagster(self) -> Path:
        """Dagster's own storage, where DAGSTER_HOME is not set."""
        return self.root / "dagster"

    @property
    def logs(self) -> Path:
        """One file a service."""
        return self.root / "logs"

    def log(self, service: str) -> Path:
        """The log of this service."""
        return self.logs / f"{service}.log"

    @property
    def media(self) -> Path:
        """The local platform's pictures."""
        return self.root / "media"

    @property
    def gallery(self) -> Path:
        """Finished worlds as files, a folder each."""
        return self.root / "gallery"

    @property
    def workspace(self) -> Path:
        """Tells daemon and webserver where the code server is."""
        return self.root / "workspace.yaml"

    def announce(self, running: RunningGenerator) -> None:
        """Let other commands find the services."""
        unfinished = self.root / f"{RUNNING}.new"
        unfinished.touch(mode=0o600)  # a URI may hold a password
        unfinished.write_text(running.model_dump_json())
        unfinished.replace(self.root / RUNNING)


@contextmanager
def lock_data_dir(root: Path, *, may_stand_beside: bool) -> Iterator[DataDir]:
    """Use the folder alone. If somebody uses it: the next one beside it, or ``CommandError`` saying who."""
    for place in _places(root, beside=may_stand_beside):
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
            if _locked(lock, fcntl.LOCK_SH):  # nobody holds it: what the file says is left over
                return None
        return RunningGenerator.model_validate_json((root / RUNNING).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def use_running_data_dir() -> None:
    """Let this command work with the folder of the generator that runs from this checkout, wherever it is called.

    Only where nobody has set GENERIA_DATA_DIR, and no generator runs from the folder that the command is called in.
    """
    if _folder_is_set() or running_generator(Path(DATA_DIR)) is not None or running_generator(CHECKOUT / DATA_DIR) is None:
        return
    os.environ["GENERIA_DATA_DIR"] = str(CHECKOUT / DATA_DIR)


def explain_none_running(data_dir: Path) -> str:
    """A sentence that says where a running generator was looked for, and was not found; '' if one runs there."""
    if running_generator(data_dir) is not None:
        return ""
    folders = dict.fromkeys([data_dir.absolute()] if _folder_is_set() else [data_dir.absolute(), CHECKOUT / DATA_DIR])
    return f" No `generia dev` runs from {' or '.join(str(folder) for folder in folders)} (GENERIA_DATA_DIR says where to look)."


def _folder_is_set() -> bool:
    return bool(os.environ.get("GENERIA_DATA_DIR") or dotenv_values(ENV_FILE).get("GENERIA_DATA_DIR"))


def service_logs(root: Path) -> dict[str, Path]:
    """The logs of the services that were started from this folder, by service."""
    return {path.stem: path for path in sorted(DataDir(root.absolute()).logs.glob("*.log"))}


def _places(root: Path, *, beside: bool) -> Iterator[Path]:
    absolute = root.absolute()
    yield absolute
    if beside:
        for number in count(1):
            yield absolute / f"{BESIDE}-{number}"


def _locked(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
