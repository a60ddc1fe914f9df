"""Read what an executed chapter holds: its recorded values, its stamp, its content key."""

from dataclasses import dataclass

import nbformat

from repro.kit.record import KIND as RECORD
from repro.kit.stamp import KIND as STAMP


def executed_path(chapter, profile):
    """Where the executed notebook of a chapter lies."""
    return chapter.root / "_build" / profile / "executed" / f"{chapter.name}.ipynb"


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
    def records(self):
        """The recorded values in order: `(index of the cell, {"name", "value", "unit"})`."""
        return list(self._outputs(RECORD))

    def _outputs(self, kind):
        for index, cell in enumerate(self.notebook.cells):
            for output in cell.get("outputs", []):
                if kind in output.get("metadata", {}):
                    yield index, output["metadata"][kind]
