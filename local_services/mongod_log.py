"""What went wrong, read out of mongod's log, and what to do about it.

Here: the few ways in which a directory, a port or a binary does not fit. mongod tells them in one JSON object a line, the
cause somewhere between a hundred lines about its start and its end.
"""

from __future__ import annotations

import json
from pathlib import Path

_OTHER_VERSION = (
    "another version of MongoDB wrote this directory: name that version's mongod in $MONGOD_BINARY, or give another --dbpath"
)
_DAMAGED = "this directory's files are damaged: restore them, or give another --dbpath"
_ADVICE = {
    "DBPathInUse": "another mongod uses this directory: stop it, or give another --dbpath",
    "Address already in use": "the port is taken: stop who uses it, or leave --port out",
    "Wrong mongod version": _OTHER_VERSION,
    "UPGRADE PROBLEM": _OTHER_VERSION,
    "IncompatibleServerVersion": _OTHER_VERSION,
    "unsupported WiredTiger file version": _OTHER_VERSION,
    "unknown storage engine": _OTHER_VERSION,
    "storage engine metadata": _DAMAGED,
    "WiredTiger": _DAMAGED,
    "Permission denied": "this user may not read or write this directory: give another --dbpath",
    "No space left": "the disk is full",
    "error while loading shared libraries": "this binary does not fit this system: name another in $MONGOD_BINARY, "
    "or a running server in $MONGODB_URI",
}
_MOST_COMPLAINTS = 5
_LONGEST_COMPLAINT = 500


def explain(log_path: Path) -> str | None:
    """Give the advice for the first known cause with what mongod said about it, or None if it complained about nothing."""
    complaints = [text for line in log_path.read_text(errors="replace").splitlines() if (text := _complaint(line))]
    if not complaints:
        return None
    told = "\n".join(text[:_LONGEST_COMPLAINT] for text in complaints[:_MOST_COMPLAINTS])
    for sign, advice in _ADVICE.items():
        if sign in told:
            return f"{advice}. mongod said:\n{told}"
    return f"mongod said:\n{told}"


def _complaint(line: str) -> str | None:
    """Give what a line of severity Error or Fatal says; a line that is not JSON is the loader's or the runtime's last word."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return line.strip() or None
    if entry.get("s") not in {"E", "F"}:
        return None
    return f"{entry['msg']} {json.dumps(entry.get('attr', {}), ensure_ascii=False)}"
