"""What an executed notebook depends on. It is reused exactly while none of this has changed.

Prose, captions and the tags that only say how a cell is shown are not among it: pages take them from the source.
"""

import contextlib
import hashlib
import io
import json
import platform
import sys
from modulefinder import ModuleFinder

from repro.kit import data
from repro.kit.provenance import kernels_chosen

OUR_PACKAGES = ("gru_tf", "repro")
TAGS_OF_EXECUTION = {"parameters", "raises-exception", "skip-execution"}


def content_key(chapter, used_data):
    """Digest by digest, everything that the values in a chapter's executed notebook depend on.

    Args:
        chapter: the `Chapter`.
        used_data: the names of the public files that its execution read.
    """
    return {
        "code": _digest(json.dumps([[cell.source, *_tags(cell)] for cell in chapter.code_cells])),
        "parameters": _digest(json.dumps(chapter.parameters, sort_keys=True)),
        "sources": {str(path.relative_to(chapter.root)): _digest(path.read_bytes()) for path in imported(chapter)},
        "lock": _digest((chapter.root / "requirements.txt").read_bytes()),
        "files": {str(path.relative_to(chapter.root)): _digest(path.read_bytes()) for path in chapter.files},
        "data": {name: _data_digest(name) for name in used_data},
        "interpreter": {"python": f"{sys.version} {platform.system()} {platform.machine()}"} | kernels_chosen(),
    }


def changed(old, new):
    """The parts in which two content keys differ."""
    return [part for part in new if old.get(part) != new[part]]


def imported(chapter):
    """The source files of our own packages that a chapter's code imports, directly or not."""
    finder = ModuleFinder(path=[str(chapter.root)])
    for code in chapter.code:
        with contextlib.suppress(SyntaxError):  # executing it tells where
            finder.load_module("__main__", io.BytesIO(code.encode()), str(chapter.source), ("", "r", 1))
    modules = (module for name, module in finder.modules.items() if name.split(".")[0] in OUR_PACKAGES)
    return sorted((chapter.root / module.__file__ for module in modules if module.__file__), key=str)


def _tags(cell):
    return sorted(TAGS_OF_EXECUTION & set(cell.metadata.get("tags", [])))


def _data_digest(name):
    try:
        return data.digest(name)
    except ValueError:
        return "no longer registered"


def _digest(content):
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
