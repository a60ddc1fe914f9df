"""English text that is on every machine: the docstrings of the installed libraries."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

NOT_PROSE = re.compile(r">>>|^\s*[-=~`+|]{3,}|:$|^\s*\.\. |^\s*\w+ ?: ", re.MULTILINE)


def docstrings(library, skipped=r"test"):
    """Yield `(file, object, docstring)` of every module, class and function of an installed library, files in order.

    Args:
        library: the name of an importable package.
        skipped: a regular expression; files whose path matches it are left out.

    Raises:
        ModuleNotFoundError: `library` is not installed.
    """
    spec = find_spec(library)
    if spec is None:
        raise ModuleNotFoundError(f"library={library!r} is not installed; its docstrings are the text")
    folder = Path(spec.origin).parent
    paths = sorted(path.relative_to(folder.parent).as_posix() for path in folder.rglob("*.py"))
    for path in paths:
        if not re.search(skipped, path):
            tree = ast.parse((folder.parent / path).read_text(encoding="utf-8"))
            yield from ((path, name, text) for name, text in _documented(tree, path))


def _documented(node, name):
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if text := ast.get_docstring(node):
            yield name, text
        for child in node.body:
            yield from _documented(child, f"{name}:{getattr(child, 'name', '')}")


def sentences(docstring):
    """Yield the sentences of a docstring's plain paragraphs; examples, tables and lists of arguments are left out."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        if not NOT_PROSE.search(paragraph):
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split())):
                if re.fullmatch(r"[A-Z].*[.!?]", sentence):
                    yield sentence
