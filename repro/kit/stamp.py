"""The stamp at the end of a chapter: what made the numbers above it."""

import html
import time

from repro.kit import data
from repro.kit.provenance import processor, provenance

KIND = "gru-book-stamp"  # marks the output in the notebook
START = time.monotonic()


class Stamp:
    """Provenance as a two-column table on the page and as metadata in the notebook."""

    def __init__(self, rows, used_data, origin):
        self.rows = rows
        self.metadata = {"rows": rows, "used_data": used_data, "origin": origin}

    def _repr_mimebundle_(self, include=None, exclude=None):
        cells = "".join(
            f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>'
            for key, value in self.rows.items()
        )
        shown = {
            "text/plain": "\n".join(f"{key}: {value}" for key, value in self.rows.items()),
            "text/html": f'<table class="stamp"><tbody>{cells}</tbody></table>',
        }
        return shown, {KIND: self.metadata}


def stamp(profile, seed):
    """Return the provenance of everything this notebook has computed; show it in the last cell.

    The wall time (seconds) runs from the import of `repro`, in a chapter's first cell. `data` lists the first twelve
    hexadecimal digits of the SHA-256 of each file fetched by `repro.data`.
    """
    used = data.used()
    origin = provenance()
    return Stamp(
        {
            "profile": profile,
            "seed": seed,
            "commit": origin["commit"],
            "lock": origin["lock"],
            "data": ", ".join(f"{name} {digest[:12]}" for name, digest in used.items()) or "embedded",
            "versions": origin["versions"],
            "python": origin["python"],
            "device": _device(),
            "machine": f"{origin['system']}; {origin['instruction set']}; kernels {origin['kernels']}",
            "date": origin["date"],
            "wall time": f"{time.monotonic() - START:.0f} s",
        },
        used,
        origin,
    )


def _device():
    import tensorflow as tf  # slow to import, and most users of this package never draw a stamp

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return ", ".join(names) or f"CPU ({processor()})"
