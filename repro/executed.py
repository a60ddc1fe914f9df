"""What the execution of a chapter left: a notebook with recorded values, stamp and content key, or why it failed."""

import json
from dataclasses import dataclass

import nbformat

from repro.chapters import BookError
from repro.content_key import changed, content_key
from repro.kit.record import KIND as RECORD
from repro.kit.stamp import KIND as STAMP

FRAME = "frame"  # tags a cell that the suite added


def executed_path(chapter):
    """Where the executed notebook of a chapter lies."""
    return chapter.book.built / "executed" / f"{chapter.name}.ipynb"


def failure_path(chapter):
    """Where it is written down that a chapter failed."""
    return executed_path(chapter).with_suffix(".failed.json")


def stale_parts(chapter):
    """Why a chapter must be executed again: the changed parts of its content key; empty when it is up to date."""
    try:
        key = Executed.read(executed_path(chapter)).key
    except FileNotFoundError:
        return ["never executed"]
    except ValueError:
        return ["unreadable notebook"]
    return changed(key, content_key(chapter, key.get("data", [])))


def failure(chapter):
    """The message with which the chapter in its present state failed, or None."""
    try:
        failed = json.loads(failure_path(chapter).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return None if changed(failed["key"], content_key(chapter, [])) else failed["error"]


def executed_chapters(book, partly=False):
    """The chapters of a book and their executed notebooks: a list of `(chapter, Executed)`, or None for what failed.

    With `partly` there is None too for what was not executed.

    Raises:
        BookError: a chapter is neither executed nor failed in its present state, without `partly`.
    """
    found, stale = [], []
    for chapter in book.chapters():
        if not stale_parts(chapter):
            found.append((chapter, Executed.read(executed_path(chapter))))
        elif partly or failure(chapter) is not None:
            found.append((chapter, None))
        else:
            stale.append(chapter.name)
    if stale:
        raise BookError(f"not executed in their present state: {', '.join(stale)}; `python -m repro run` does it")
    return found


@dataclass(frozen=True)
class Executed:
    """An executed notebook."""

    notebook: nbformat.NotebookNode

    @classmethod
    def read(cls, path):
        return cls(nbformat.read(path, as_version=4))

    @property
    def key(self):
        return self.notebook.metadata.get("repro", {}).get("key", {})

    @property
    def wall_time(self):
        """Seconds that the execution took, kernel start included."""
        return self.notebook.metadata["repro"]["wall_time"]

    @property
    def stamp(self):
        """The chapter's stamp as a dict, or None when it has none."""
        return next(self._outputs(STAMP), (None, None))[1]

    @property
    def used_data(self):
        """The names of the public files that the execution read."""
        return sorted(self.stamp["used_data"])

    @property
    def origin(self):
        """Where, when and from what it was executed: what `repro.kit.provenance` said there."""
        return self.stamp["origin"]

    @property
    def records(self):
        """What was recorded, in order: `(index of the cell, {"name", "value", "unit", …})`."""
        return list(self._outputs(RECORD))

    def _outputs(self, kind):
        for index, cell in enumerate(self.notebook.cells):
            for output in cell.get("outputs", []):
                if kind in output.get("metadata", {}):
                    yield index, output["metadata"][kind]
