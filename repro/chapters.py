"""The book, and its chapters: MyST Markdown notebooks listed in `_toc.yml`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jupytext
import jupytext.myst
from ruamel.yaml import YAML

PROFILES = ("smoke", "book", "full")


class BookError(Exception):
    """The book, or what a command asks of it, is wrong; the message says where and what to do."""


@dataclass(frozen=True)
class Book:
    """The book in the folder `root`, to be executed at the sizes of `profile` and from `seed`.

    What is made of it lies below `_build/<place>`: that of the book's own seed, 0, is called after the profile.
    """

    root: Path
    profile: str = "book"
    seed: int = 0
    place: str | None = None

    @property
    def built(self):
        """The folder of everything that is made of it."""
        named = self.profile if self.seed == 0 else f"{self.profile}-seed-{self.seed}"
        return self.root / "_build" / (self.place or named)

    @property
    def claims(self):
        """The path of the ledger."""
        return self.root / "book" / "claims.yml"

    @cached_property
    def pages(self):
        """The names of the pages in the order of `_toc.yml`: their paths below `book`, without the ending."""
        toc = self.root / "_toc.yml"
        listed = YAML(typ="safe").load(toc)
        paths = [Path(listed["root"]), *map(Path, _files(listed))]
        if outside := [str(path) for path in paths if path.parts[0] != "book"]:
            raise BookError(f"{toc} lists {', '.join(outside)}; pages lie below `book`")
        return [str(path.relative_to("book").with_suffix("")) for path in paths]

    def chapters(self, names=()):
        """The chapters in reading order; only those called `names`, if any are given."""
        found = [Chapter(self, name) for name in self.pages if _is_notebook(self.root / "book" / f"{name}.md")]
        known = [chapter.name for chapter in found]
        if unknown := [name for name in names if name not in known]:
            raise BookError(f"no chapter called {', '.join(unknown)}; the chapters are {', '.join(known)}")
        return [chapter for chapter in found if not names or chapter.name in names]


@dataclass(frozen=True)
class Chapter:
    """One chapter of a book: a Markdown source and the settings in its front matter."""

    book: Book
    name: str

    @property
    def root(self):
        return self.book.root

    @property
    def source(self):
        return self.root / "book" / f"{self.name}.md"

    @cached_property
    def text(self):
        return self.source.read_text(encoding="utf-8")

    @cached_property
    def notebook(self):
        return jupytext.reads(self.text, fmt="md:myst")

    @property
    def code_cells(self):
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def code(self):
        """The Python of each code cell, IPython magics left out."""
        for cell in self.code_cells:
            yield "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))

    @property
    def script(self):
        """Its code as one Python file, solutions to exercises left out."""
        shown = [cell.source for cell in self.code_cells if "hide-cell" not in cell.metadata.get("tags", [])]
        return "\n\n".join(shown) + "\n"

    @property
    def time_limit(self):
        """Seconds after which the execution is ended."""
        return self._settings["time_limit"]

    @property
    def has_parameters(self):
        """Whether it is a lab, whose sizes and seed are set from outside; a lesson or a recipe runs as it stands."""
        return any("parameters" in cell.metadata.get("tags", []) for cell in self.code_cells)

    @property
    def parameters(self):
        """What papermill injects: for a lab the profile with its overrides of the defaults, and the seed."""
        profiles = self._settings["profiles"]
        if self.has_parameters:
            return {"PROFILE": self.book.profile, "SEED": self.book.seed, **profiles.get(self.book.profile, {})}
        if profiles:
            raise BookError(f"{self.source}: no cell is tagged `parameters`, so its profiles would change nothing")
        return {}

    @property
    def files(self):
        """The paths of the repository's files that its code reads; the front matter lists them."""
        paths = [self.root / name for name in self._settings.get("files", [])]
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise BookError(f"{self.source}: the front matter lists {', '.join(missing)}, which is no file")
        return paths

    @cached_property
    def _settings(self):
        settings = self.notebook.metadata.get("repro")
        if not isinstance(settings, dict) or not {"time_limit", "profiles"} <= set(settings):
            raise BookError(f"{self.source}: the front matter needs `repro:` with `time_limit` and `profiles`")
        if unknown := set(settings["profiles"]) - set(PROFILES):
            raise BookError(f"{self.source}: unknown profile {sorted(unknown)}; choose from {list(PROFILES)}")
        return settings


def _files(entry):
    """The files that an entry of the table of contents lists below it, in their order."""
    for kind in ("parts", "chapters", "sections"):
        for below in entry.get(kind, []):
            if "file" in below:
                yield below["file"]
            yield from _files(below)


def _is_notebook(path):
    if not path.exists():
        raise BookError(f"{path} is listed in _toc.yml but does not exist")
    return jupytext.myst.matches_mystnb(path.read_text(encoding="utf-8"), ext=".md")
