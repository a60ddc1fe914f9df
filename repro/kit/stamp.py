"""The stamp at the end of a chapter: what made the numbers above it."""

import datetime
import hashlib
import html
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from repro.kit import data

KIND = "gru-book-stamp"  # marks the output in the notebook
ROOT = Path(__file__).resolve().parents[2]
START = time.monotonic()


class Stamp:
    """Provenance as a two-column table on the page and as metadata in the notebook."""

    def __init__(self, rows, used_data):
        self.rows = rows
        self.used_data = used_data

    def _repr_mimebundle_(self, include=None, exclude=None):
        cells = "".join(
            f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>'
            for key, value in self.rows.items()
        )
        shown = {
            "text/plain": "\n".join(f"{key}: {value}" for key, value in self.rows.items()),
            "text/html": f'<table class="stamp"><tbody>{cells}</tbody></table>',
        }
        return shown, {KIND: {"rows": self.rows, "used_data": self.used_data}}


def stamp(profile, seed):
    """Return the provenance of everything this notebook has computed; show it in the last cell.

    The wall time (seconds) runs from the import of `repro`, in a chapter's first cell. `data` lists the first twelve
    hexadecimal digits of the SHA-256 of each file fetched by `repro.data`.
    """
    used = data.used()
    return Stamp(
        {
            "profile": profile,
            "seed": seed,
            "commit": _commit(),
            "lock": _digest(ROOT / "requirements.txt"),
            "data": ", ".join(f"{name} {digest[:12]}" for name, digest in used.items()) or "embedded",
            "versions": ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras", "numpy")),
            "python": platform.python_version(),
            "device": _device(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "wall time": f"{time.monotonic() - START:.0f} s",
        },
        used,
    )


def _commit():
    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True).stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD") or "not a git checkout"
    return f"{commit} with uncommitted changes" if git("status", "--porcelain") else commit


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "no lock"


def _device():
    import tensorflow as tf  # slow to import, and most users of this package never draw a stamp

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return ", ".join(names) or f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
