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

from repro.chapters import BookError
from repro.executed import failure
from repro.ledger_page import claims_settled, ledger_notice, ledger_summary, ledger_table
from repro.published import published, unfinished
from repro.register import held, register
from repro.replication_page import write_replications
from repro.result import SCHEMA_OF_CLAIMS, Result


class SiteError(BookError):
    """The site could not be built; the last good one is untouched."""


def build(book, executed, judged):
    """Render a book from its executed chapters and its judged claims.

    The site appears at `html` in the book's folder `built` in one step, when every page was rendered without a warning;
    until then, whatever happens, the link points to the last good site. That one is kept beside it, older ones are
    removed.

    Args:
        book: the `Book`.
        executed: a list of `(chapter, Executed)`, with None for a chapter that failed or was not run.
        judged: the claims, from `repro.ledger.judge`.

    Returns:
        The path of the index page.

    Raises:
        BookError: a replication is not valid.
        SiteError: Jupyter Book warned.
    """
    for leftover in book.built.glob("staging-*"):  # of a build that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=book.built, prefix="staging-") as folder:
        staging = Path(folder)
        staged = _stage(staging / "book", book, executed, judged)
        site = book.built / "sites" / _digest(staged, book.root / "requirements.txt", Path(__file__))
        site.parent.mkdir(exist_ok=True)
        if not site.exists():
            _render(staged, staging / "rendered").rename(site)
        _swap_in(site, book.built / "html", staging)
    return book.built / "html" / "index.html"


def _stage(staged, book, executed, judged):
    """Write the tree that Jupyter Book renders: pages as they are, chapters executed, the ledger's table."""
    staged.mkdir()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(book.root / name, staged)
    pages = staged / "book"
    pages.mkdir()
    for name in book.pages:
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
    for name in set(book.pages) - {chapter.name for chapter, _ in executed}:
        shutil.copy(book.root / "book" / f"{name}.md", pages / f"{name}.md")
    for chapter, notebook in executed:
        settled = claims_settled(judged, chapter.name)
        page = published(chapter, notebook, settled) if notebook else unfinished(chapter, failure(chapter), settled)
        nbformat.write(page, pages / f"{chapter.name}.ipynb")
        if not chapter.has_parameters:
            (pages / f"{chapter.name}.py").write_text(chapter.script, encoding="utf-8")  # to download
    # The API page shows its docstrings, so the site depends on it too.
    shutil.copytree(book.root / "gru_tf", staged / "gru_tf", ignore=shutil.ignore_patterns("__pycache__"))
    for extra in ("references.bib", "_static"):
        if (source := book.root / "book" / extra).is_dir():
            shutil.copytree(source, pages / extra)
        elif source.exists():
            shutil.copy(source, pages)

    replications = register(book.root)
    judged = [claim | {"replications": held(claim, replications)} for claim in judged]
    result = Result.of(book, executed, judged)
    for name, text in {
        "ledger-notice.txt": ledger_notice(judged),
        "ledger-summary.txt": ledger_summary(judged, result.run),
        "ledger-table.txt": ledger_table(judged),
    }.items():
        (pages / name).write_text(text, encoding="utf-8")
    if "replications" in book.pages:
        write_replications(pages, replications, result, judged)
    shutil.copy(SCHEMA_OF_CLAIMS, staged)
    (staged / "claims.json").write_text(json.dumps(_ledger(result, judged), indent=1, ensure_ascii=False), "utf-8")
    return staged


def _ledger(result, judged):
    """The ledger as it is published."""
    claims = [claim | {"evidence": [item["name"] for item in claim["evidence"]]} for claim in judged]
    numbers = result.numbers_as_json()
    return {"$schema": SCHEMA_OF_CLAIMS.name, "run": result.run, "claims": claims, "numbers": numbers}


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
    for name in ("claims.json", SCHEMA_OF_CLAIMS.name):
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
