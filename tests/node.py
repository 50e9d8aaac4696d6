"""Node.js with what a test folder needs from npm."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

NODE_NEEDED = 20


def node_for(folder: Path) -> str:
    """A Node for scripts in `folder`: `npm ci` runs once, and again when the lock file changes."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _unable(f"needs Node.js {NODE_NEEDED} or newer with npm: install nodejs and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE_NEEDED:
        _unable(f"needs Node.js {NODE_NEEDED} or newer; this is {version.strip()}")
    wanted, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    with (folder / ".npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the processes that run tests at the same time
        if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
            install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                _unable(f"npm cannot install {folder / 'package.json'}: {done.stderr.strip()}")
            shutil.copyfile(wanted, installed)
    return node


def _unable(reason: str) -> NoReturn:
    """Skip what this machine cannot run; where all must run, as in CI, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
