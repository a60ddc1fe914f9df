"""A small book in a folder of its own, with its own packages, for the tests of the suite."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from repro.chapters import Book, Chapter
from repro.content_key import content_key
from repro.executed import executed_path
from repro.kit.provenance import provenance
from repro.kit.record import Recorded
from repro.kit.stamp import Stamp
from repro.kit.statistics import t_interval

ROOT = Path(__file__).parents[1]

CHAPTER = """\
---
jupytext:
  text_representation: {{extension: .md, format_name: myst}}
kernelspec: {{name: python3, display_name: Python 3, language: python}}
repro:
  time_limit: {time_limit}
  profiles:
    smoke: {{N: 2}}
---
# A chapter

```{{code-cell}} ipython3
:tags: [parameters]

PROFILE = "book"
SEED = 0
N = 3
```

{body}
"""

STAMP = """
```{code-cell} ipython3
repro.stamp(profile=PROFILE, seed=SEED)
```
"""

SUMS = (
    """\
(sec-sum)=
## The sum

$$
s_N = 1 + 2 + \\dots + N
$$ (eq-sum)

By {eq}`eq-sum` the sum is {glue:text}`sums_total`, its mean {glue:text}`sums_mean:.2f`.

```{code-cell} ipython3
import gru_tf
import repro

repro.use_figure_style()
total = sum(gru_tf.numbers(N))
repro.record("sums_total", total, unit="apples")
repro.record_mean("sums_mean", [total / N - 0.1, total / N, total / N + 0.1])
```

{numref}`fig-numbers` draws it.

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  image:
    alt: A line that rises by one at each step.
  figure:
    name: fig-numbers
    caption: |
      The numbers.
---
import matplotlib.pyplot as plt

plt.plot(gru_tf.numbers(N))
plt.show()
```
"""
    + STAMP
)

LESSON = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
repro: {time_limit: 60, profiles: {}}
---
# A lesson

It has {download}`a script <lesson.py>`.

```{code-cell} ipython3
---
mystnb:
  image: {alt: A line.}
  figure: {name: fig-lesson, caption: A line.}
---
import matplotlib.pyplot as plt

open("mine.txt", "w").close()
plt.plot([1, 2])
plt.show()
```

```{evidence} 000-total 001-mean
It was measured elsewhere.
```

```{code-cell} ipython3
:tags: [hide-cell]

print("solution")
```

The last word.
"""

CLAIMS = """\
- id: 000-total
  source: "000"
  claim: The numbers add up to six.
  kind: algebra
  chapter: sums#sec-sum
  evidence: [sums_total]
  check: {confirmed: sums_total == 6, refuted: sums_total != 6}
  verdict: confirmed
  because:
    confirmed: They were added up.
    refuted: They add up to {sums_total:d}.
    inconclusive: It cannot come to that.
- id: 001-mean
  source: "001"
  claim: Their mean is below zero.
  kind: executable
  chapter: sums#sec-sum
  evidence: [sums_mean]
  check: {confirmed: sums_mean_high < 0, refuted: sums_mean_low > 0}
  verdict: refuted
  because:
    confirmed: The whole interval is below zero.
    refuted: The whole interval, from {sums_mean_low:.2f} to {sums_mean_high:.2f}, is above zero.
    inconclusive: The interval holds zero.
  see: [000-total]
- id: 001-author
  source: "001"
  claim: Somebody else proposed the unit.
  kind: documentary
  chapter: sums#sec-sum
  verdict: refuted
  because: The paper says who did.
  cites: [cho2014gru]
"""

FILES = {
    "requirements.txt": "nothing==1.0\n",
    "book/index.md": "# A book\n\nIt has {doc}`one chapter <sums>` {cite:p}`cho2014gru`.\n\n```{bibliography}\n```\n",
    "book/ledger.md": "# The ledger\n\n```{include} ledger-table.txt\n```\n",
    "book/claims.yml": CLAIMS,
    "gru_tf/__init__.py": "from gru_tf.numbers import numbers\n",
    "gru_tf/numbers.py": "from gru_tf.first import FIRST\n\n\ndef numbers(n):\n    return range(FIRST, FIRST + n)\n",
    "gru_tf/first.py": "FIRST = 1\n",
    "gru_tf/unused.py": "",
    # In the place of a package that takes seconds to import.
    "tensorflow/__init__.py": "class config:\n    list_physical_devices = staticmethod(lambda kind: [])\n",
}


def write(root, **bodies):
    """Write a book with one chapter for each of `bodies` to `root`; by default it is the chapter `sums`."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    bodies = bodies or {"sums": SUMS}
    for name, body in bodies.items():
        write_chapter(root, name, body)
    files = "".join(f"      - file: book/{name}\n" for name in [*bodies, "ledger"])
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nparts:\n  - chapters:\n{files}")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    shutil.copytree(ROOT / "repro", root / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def write_chapter(root, name, body, time_limit=60):
    path = root / "book" / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CHAPTER.format(time_limit=time_limit, body=body))


def code(*lines):
    return "\n".join(["```{code-cell} ipython3", *lines, "```"])


def chapter(root, name, profile="book", seed=0):
    return Chapter(Book(root, profile, seed), name)


def pretend_executed(root, name, profile="book", seed=0, used_data=(), samples=None, **values):
    """Leave what the execution of a chapter leaves, without a kernel; its second cell records values and samples."""
    executed = chapter(root, name, profile, seed)
    notebook = executed.notebook
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for recorded, value in values.items():
        _show(cells[1], Recorded(recorded, value))
    for recorded, row in (samples or {}).items():
        mean, interval = t_interval(row)
        more = {"interval": interval, "level": 0.95, "samples": row, "log": False}
        _show(cells[1], Recorded(recorded, mean, **more))
        for end, bound in zip(("low", "high"), interval, strict=True):
            _show(cells[1], Recorded(f"{recorded}_{end}", bound, bounds=recorded))
    _show(cells[-1], Stamp({"profile": profile}, dict.fromkeys(used_data, ""), provenance()))
    notebook.metadata["repro"] = {"key": content_key(executed, used_data), "wall_time": 1.0}
    path = executed_path(executed)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def pretend_found(root, profile="book", seed=0, total=6, mean=2.0):
    """Leave what the execution of the chapter `sums` leaves."""
    samples = {"sums_mean": [mean - 0.1, mean, mean + 0.1]}
    return pretend_executed(root, "sums", profile, seed, sums_total=total, samples=samples)


def _show(cell, shown):
    data, metadata = shown._repr_mimebundle_()
    cell.outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))


@contextlib.contextmanager
def shared(tmp_path_factory, name):
    """A folder that the workers of pytest-xdist share, for one of them at a time: the first one fills it."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    folder.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def start(root, *arguments, **options):
    """Start `python -m repro` in the book at `root`, as it runs in a terminal."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_CURRENT_TEST", None)  # a kernel that sees it handles its standard error otherwise
    return subprocess.Popen(
        [sys.executable, "-m", "repro", *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def repro(root, *arguments):
    """Run `python -m repro` in the book at `root`; its exit status, what it printed and its complaints."""
    process = start(root, *arguments)
    try:
        printed, complaints = process.communicate()
    finally:  # when the test has run out of time
        process.kill()
    return process.returncode, printed, complaints
