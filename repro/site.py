"""Render the book: stage the executed notebooks, run Jupyter Book on them, swap the new site in as a whole."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from repro.chapters import BookError, chapters, pages
from repro.execute import require_executed
from repro.executed import Executed, executed_path
from repro.ledger import JUDGED_SCHEMA, judge
from repro.ledger_page import anchor, claims_settled, ledger_summary, ledger_table

# Written by the machine that executed, not by the chapter; papermill's hold absolute paths.
PRIVATE_METADATA = ("papermill", "repro")


class SiteError(BookError):
    """The site could not be built; the last good one is untouched."""


def build(root, profile):
    """Render the book at `root` from the notebooks executed under `profile`.

    The site appears at `_build/<profile>/html` in one step, when every page was rendered without a warning; until
    then, whatever happens, the link points to the last good site. That one is kept beside it, older ones are removed.

    Returns:
        The path of the index page and the judged claims.

    Raises:
        BookError: a chapter is not executed in its present state.
        LedgerError: a verdict disagrees with the numbers.
        SiteError: Jupyter Book warned.
    """
    book = chapters(root)
    require_executed(book, profile)
    judged = judge(root / "book" / "claims.yml", book, profile)
    built = root / "_build" / profile
    for leftover in built.glob("staging-*"):  # of a build that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=built, prefix="staging-") as folder:
        staging = Path(folder)
        staged = _stage(root, staging / "book", book, profile, judged)
        site = built / "sites" / _digest(staged, root / "requirements.txt", Path(__file__))
        site.parent.mkdir(exist_ok=True)
        if not site.exists():
            _render(staged, staging / "rendered").rename(site)
        _swap_in(site, built / "html", staging)
    return built / "html" / "index.html", judged


def _stage(root, staged, book, profile, judged):
    """Write the tree that Jupyter Book renders: pages as they are, chapters executed, the ledger's table."""
    staged.mkdir()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, staged)
    (staged / "book").mkdir()
    for name in set(pages(root)) - {chapter.name for chapter in book}:
        shutil.copy(root / "book" / f"{name}.md", staged / "book")
    for chapter in book:
        notebook = _published(Executed.read(executed_path(chapter, profile)), profile)
        if settled := claims_settled(judged, chapter.name):
            notebook.cells.insert(-1, nbformat.v4.new_markdown_cell(settled, id="claims-settled"))  # before the stamp
        nbformat.write(notebook, staged / "book" / f"{chapter.name}.ipynb")
    # The API page shows its docstrings, so the site depends on it too.
    shutil.copytree(root / "gru_tf", staged / "gru_tf", ignore=shutil.ignore_patterns("__pycache__"))
    for extra in ("references.bib", "_static"):
        if (source := root / "book" / extra).is_dir():
            shutil.copytree(source, staged / "book" / extra)
        elif source.exists():
            shutil.copy(source, staged / "book")
    (staged / "book" / "ledger-summary.txt").write_text(ledger_summary(judged, profile), encoding="utf-8")
    (staged / "book" / "ledger-table.txt").write_text(ledger_table(judged), encoding="utf-8")
    ledger = {"$schema": JUDGED_SCHEMA.name, "profile": profile, "claims": judged}
    (staged / "claims.json").write_text(json.dumps(ledger, indent=1, ensure_ascii=False), encoding="utf-8")
    shutil.copy(JUDGED_SCHEMA, staged)
    return staged


def _published(executed, profile):
    """The executed notebook as a reader gets it: anchors for the ledger, injected parameters folded, no paths."""
    names_by_cell = {}
    for index, record in executed.records:
        names_by_cell.setdefault(index, []).append(record["name"])
    cells = []
    for index, cell in enumerate(executed.notebook.cells):
        if index in names_by_cell:
            anchors = "".join(f'<span id="{anchor(name)}"></span>' for name in names_by_cell[index])
            cells.append(nbformat.v4.new_markdown_cell(anchors, id=f"{cell.id}-evidence"))
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["mystnb"] = {"code_prompt_show": f"Show the parameters of the profile {profile}"}
            cell.metadata["tags"] = ["injected-parameters", "hide-input"]
        for private in PRIVATE_METADATA:
            cell.metadata.pop(private, None)
        cells.append(cell)
    metadata = {key: value for key, value in executed.notebook.metadata.items() if key not in PRIVATE_METADATA}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _render(staged, output):
    command = [Path(sys.executable).with_name("jupyter-book"), "build", staged, "--path-output", output]
    log = output.with_suffix(".log")
    path = os.pathsep.join([str(staged), *filter(None, [os.environ.get("PYTHONPATH")])])  # where autodoc finds gru_tf
    with log.open("w") as stream:
        finished = subprocess.run(
            [*command, "-W", "--keep-going", "-q"],
            env=os.environ | {"PYTHONPATH": path},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    if finished.returncode:
        raise SiteError(f"Jupyter Book failed; the last good site is untouched.\n{log.read_text()}")
    html = output / "_build" / "html"
    for name in ("claims.json", JUDGED_SCHEMA.name):
        shutil.copy(staged / name, html)
    return html


def _swap_in(site, link, staging):
    """Point `link` to `site` and move all sites but this and the previous one to `staging`, which goes away."""
    kept = {site, link.resolve()}
    if len(kept) == 1:
        return
    new = staging / link.name
    new.symlink_to(site.relative_to(link.parent), target_is_directory=True)
    os.replace(new, link)
    for old in set(site.parent.iterdir()) - kept:
        old.rename(staging / old.name)  # whole, since a site that is half removed would pass for a good one


def _digest(folder, *more):
    digest = hashlib.sha256()
    for path in [*sorted(path for path in folder.rglob("*") if path.is_file()), *more]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
