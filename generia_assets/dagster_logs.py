"""Dagster's compute logs for dagster.yaml: a run's stdout and stderr in its local files, and in the code server's output.

By default Dagster copies the files to the code server's output by four more processes for each run. Here threads of the run do it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO

from generia_assets.dagster_internals import CapturedLogContext, ConfigurableClassData, LocalComputeLogManager

COPY_SECONDS = 0.5
"""How often new lines are copied."""


class MirroringComputeLogManager(LocalComputeLogManager):
    """Dagster's local compute logs in ``base_dir``/storage, which is their default folder."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(base_dir=str(Path(config_value["base_dir"], "storage")), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        out, err = (Path(self.get_captured_local_path(log_key, kind)) for kind in ("out", "err"))
        with _captured(sys.stdout, out), _captured(sys.stderr, err):
            yield CapturedLogContext(log_key)
        Path(self.get_captured_local_path(log_key, "complete")).touch()


@contextmanager
def _captured(stream: TextIO, path: Path) -> Iterator[None]:
    try:
        descriptor = stream.fileno()
    except OSError:  # a stream of Python's own, such as a test's: there is nothing to redirect
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    with path.open("ab") as written, path.open("rb") as read, os.fdopen(os.dup(descriptor), "wb", buffering=0) as original:
        read.seek(0, os.SEEK_END)
        copier = threading.Thread(target=_copy, args=(read, original, ended), name=f"copy:{path.suffix}", daemon=True)
        copier.start()
        stream.flush()
        os.dup2(written.fileno(), descriptor)
        try:
            yield
        finally:
            stream.flush()
            os.dup2(original.fileno(), descriptor)
            ended.set()
            copier.join()


def _copy(read: BinaryIO, original: BinaryIO, ended: threading.Event) -> None:
    """Copy what is written until the end, and what was written by then."""
    over = False
    while not over:
        over = ended.wait(COPY_SECONDS)
        while lines := read.read(65_536):
            original.write(lines)
