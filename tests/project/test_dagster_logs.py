"""A run's stdout and stderr are in its files, and in the output of the process that started it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from generia_assets.dagster_logs import MirroringComputeLogManager

KEY = ["a run", "compute_logs", "a step"]


@pytest.fixture
def logs(tmp_path: Path) -> MirroringComputeLogManager:
    return MirroringComputeLogManager.from_config_value(None, {"base_dir": str(tmp_path)})


def test_the_output_of_a_run_is_in_its_files_and_in_the_original_streams(
    logs: MirroringComputeLogManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is there once, also those of child processes, in Dagster's default folder; later lines are only in the original
    streams."""
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        out.write("before\n")
        with logs.capture_logs(KEY):
            out.write("one\n")
            err.write("wrong\n")
            out.flush()
            subprocess.run(["echo", "of another process"], stdout=out, check=True, timeout=10)
            assert not logs.is_capture_complete(KEY)
        out.write("after\n")
    captured = logs.get_log_data(KEY)
    assert (captured.stdout, captured.stderr) == (b"one\nof another process\n", b"wrong\n")
    assert (tmp_path / "out").read_text() == "before\none\nof another process\nafter\n"
    assert (tmp_path / "err").read_text() == "wrong\n"
    assert logs.is_capture_complete(KEY)
    assert (tmp_path / "storage" / "a run" / "compute_logs" / "a step.out").exists()


def test_a_second_capture_appends_to_the_same_files(
    logs: MirroringComputeLogManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier content of the file is not copied to the output again."""
    for line in ("first", "second"):
        with (tmp_path / line).open("w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            with logs.capture_logs(KEY):
                out.write(f"{line}\n")
    assert logs.get_log_data(KEY).stdout == b"first\nsecond\n"
    assert (tmp_path / "second").read_text() == "second\n"


def test_a_stream_without_a_file_is_not_redirected(logs: MirroringComputeLogManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to redirect: the output stays where it is."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with logs.capture_logs(KEY):
        stream.write("one")
    assert stream.getvalue() == "one"
