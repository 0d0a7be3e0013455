"""The supply chain: no secret in the tree, no dependency with a known vulnerability."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers  # one uses the package index; both take seconds

ROOT = Path(__file__).parents[2]
GOOGLE_KEY = re.compile(r"AIza[0-9A-Za-z_\-]{35}")
LOUD = ("HexHighEntropyString", "Base64HighEntropyString", "KeywordDetector")
"""Detectors by guess: a seed, a digest and the word "password" are no secrets."""


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_no_secret_is_in_the_tree():
    """The tracked files contain neither a pattern of the scanner nor a key in Google's format."""
    if subprocess.run(["git", "rev-parse", "--git-dir"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("no git checkout: there is no list of what is tracked")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    silent = [part for name in LOUD for part in ("--disable-plugin", name)]
    # Without file names it would scan all of .venv, too; its filter skips lines that no detector can match.
    quickly = {**os.environ, "DETECT_SECRETS_PERF_PREGATE": "1"}
    command = [
        tool("detect-secrets"),
        "scan",
        "--no-verify",
        *silent,
        "--exclude-files",
        r"requirements.*\.lock",
        *filter(None, tracked),
    ]
    scanned = subprocess.run(command, cwd=ROOT, env=quickly, capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(scanned.stdout)["results"] == {}
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert [path.name for path in files if GOOGLE_KEY.search(path.read_text(errors="ignore"))] == []


def test_no_locked_dependency_has_a_known_vulnerability():
    """The package index has no vulnerability of an installed package; skipped if the index cannot be reached."""
    command = [tool("pip-audit"), "--disable-pip", "--require-hashes", "-r", "requirements.lock", "-f", "json", "--timeout", "10"]
    command += ["--progress-spinner", "off"]
    audit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    if not audit.stdout.strip():
        said = audit.stderr.strip().splitlines() or ["no answer"]
        pytest.skip(f"the audit could not ask: {said[-1][:200]}")
    dependencies = json.loads(audit.stdout)["dependencies"]
    assert [(one["name"], one["version"], one["vulns"]) for one in dependencies if one.get("vulns")] == []
    if all("skip_reason" in one for one in dependencies):
        pytest.skip("this package index tells nothing of vulnerabilities")
