"""What we ship and what we lean on: no secret in the tree, no dependency with a known vulnerability."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

pytestmark = pytest.mark.servers  # one asks the package index; both take seconds

ROOT = Path(__file__).parents[2]
GOOGLE_KEY = re.compile(r"AIza[0-9A-Za-z_\-]{35}")
LOUD = ("HexHighEntropyString", "Base64HighEntropyString", "KeywordDetector")
"""Detectors by guess: a seed, a digest and the word "password" are no secrets."""


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def could_hold_secrets(files: list[Path]) -> list[Path]:
    """The files in whose text one of the scanner's patterns is found: line by line it tries them for three times as long."""
    detectors = get_mapping_from_secret_type_to_class().values()
    assert {kind.__name__ for kind in detectors if not issubclass(kind, RegexBasedDetector)} == set(LOUD)
    searched = [kind() for kind in detectors if issubclass(kind, RegexBasedDetector)]
    patterns = [re.compile(one.pattern, one.flags | re.MULTILINE) for detector in searched for one in detector.denylist]
    texts = [(path, path.read_text(errors="ignore")) for path in files]
    return [path for path, text in texts if any(pattern.search(text) for pattern in patterns)]


def test_no_secret_is_in_the_tree():
    """Neither the scanner's patterns nor Google's form of a key is found in what is tracked."""
    if subprocess.run(["git", "rev-parse", "--git-dir"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("no git checkout: there is no list of what is tracked")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    silent = [part for name in LOUD for part in ("--disable-plugin", name)]
    suspects = could_hold_secrets([path for path in files if not re.fullmatch(r"requirements.*\.lock", path.name)])
    command = [tool("detect-secrets"), "scan", "--no-verify", *silent, *map(str, suspects)]
    scanned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(scanned.stdout)["results"] == {}
    assert [path.name for path in files if GOOGLE_KEY.search(path.read_text(errors="ignore"))] == []


def test_no_locked_dependency_has_a_known_vulnerability():
    """The package index knows of no vulnerability in what is installed; skipped where nobody can be asked."""
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
