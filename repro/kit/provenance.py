"""On what, and from what, numbers were computed."""

import datetime
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What chooses among the kernels of TensorFlow, XLA, OpenBLAS and NumPy: others round otherwise.
CHOICE_OF_KERNELS = ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")


def provenance():
    """Return where this process runs and what it runs, as a dict of strings."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "lock": lock_digest(),
        "versions": versions(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": processor(),
        "instruction set": instruction_set(),
        "kernels": ", ".join(f"{name}={value}" for name, value in kernels_chosen().items()) or "as installed",
    }


def commit():
    """Return the commit of the checkout and whether something in it is not committed, or why that is unknown.

    A new file of the register does not count: each reproduction writes one, and no number depends on it.
    """

    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)

    try:
        head = git("rev-parse", "--short=12", "HEAD")
    except FileNotFoundError:
        return "unknown (no git)"
    if head.returncode:
        why = head.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
        return "not a git checkout" if "not a git repository" in why else f"unknown ({why})"
    changes = git("status", "--porcelain", "--", ":/", ":(top,exclude)replications").stdout
    return head.stdout.strip() + (" with uncommitted changes" if changes else "")


def lock_digest():
    """Return the first twelve digits of the SHA-256 of the lock file."""
    path = ROOT / "requirements.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "no lock"


def versions():
    """Return the versions of the libraries that compute."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras", "numpy"))


def processor():
    """Return the processor's name, as its maker or the virtual machine calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def instruction_set():
    """Return the extensions that NumPy finds in this processor, of those that it has kernels for."""
    import numpy as np  # slow to import

    return ", ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"]) or "baseline"


def kernels_chosen():
    """Return the settings of the environment that choose among kernels."""
    return {name: os.environ[name] for name in CHOICE_OF_KERNELS if name in os.environ}
