"""A chapter as a reader gets it: prose and looks from its source, outputs from its execution, or why there are none."""

import re

import nbformat

from repro.executed import FRAME
from repro.ledger_page import anchor

# Written by the machine that executed, not by the chapter; papermill's hold absolute paths.
PRIVATE_METADATA = ("papermill", "repro")
GLUE = re.compile(r"\{glue:text\}(`+)[^`]+\1")
TITLE = re.compile(r"^# .+$", re.MULTILINE)
NOT_COMPUTED = "not computed"
LINES_OF_ERROR = 40  # its end says most


def published(chapter, executed, settled):
    """The notebook of an executed chapter: anchors for the ledger, injected parameters folded, no paths.

    Args:
        chapter: the `Chapter`.
        executed: its `Executed`, of the same code cells in the same order.
        settled: Markdown of the claims it settles, for the place before the stamp; may be empty.
    """
    names_by_cell = {}
    for index, record in executed.records:
        names_by_cell.setdefault(index, []).append(record["name"])
    cells, sources = [], iter(chapter.notebook.cells)
    for index, ran in enumerate(executed.notebook.cells):
        if ran.cell_type != "code":
            continue
        tags = ran.metadata.get("tags", [])
        if FRAME in tags:
            if ran.outputs:
                cells += [*sources, _code(ran.source, ran, {"tags": ["remove-input"]})]
            continue
        if "injected-parameters" in tags:
            prompt = f"Show the parameters of the profile {chapter.book.profile}"
            looks = {"tags": ["injected-parameters", "hide-input"], "mystnb": {"code_prompt_show": prompt}}
            cells.append(_code(ran.source, ran, looks))
            continue
        for cell in sources:
            if cell.cell_type == "code":
                if index in names_by_cell:
                    anchors = "".join(f'<span id="{anchor(name)}"></span>' for name in names_by_cell[index])
                    cells.append(nbformat.v4.new_markdown_cell(anchors))
                cells.append(_code(cell.source, ran, cell.metadata))
                break
            cells.append(cell)
    return _notebook([*cells, *sources], settled, executed.notebook.metadata)


def unfinished(chapter, error, settled):
    """The notebook of a chapter that failed with an error or, with None, was not run: text without outputs."""
    cells = []
    for cell in chapter.notebook.cells:
        if cell.cell_type == "code":
            outputs = [_placeholder()] if "figure" in cell.metadata.get("mystnb", {}) else []
            cell = nbformat.v4.new_code_cell(cell.source, metadata=_not_computed(cell.metadata), outputs=outputs)
        else:
            cell = nbformat.v4.new_markdown_cell(_not_computed(cell.source))
        cells.append(cell)
    cells[0].source = TITLE.sub(lambda title: f"{title[0]}\n\n{_notice(error)}", cells[0].source, count=1)
    return _notebook(cells, settled, chapter.notebook.metadata)


def _code(source, ran, metadata):
    looks = {key: value for key, value in metadata.items() if key not in PRIVATE_METADATA}
    return nbformat.v4.new_code_cell(source, execution_count=ran.execution_count, metadata=looks, outputs=ran.outputs)


def _notebook(cells, settled, metadata):
    if settled:
        cells.insert(-1, nbformat.v4.new_markdown_cell(settled))
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"  # equal chapters are equal files, so that nothing is rendered again
    kept = {key: value for key, value in metadata.items() if key not in PRIVATE_METADATA}
    return nbformat.v4.new_notebook(cells=cells, metadata=kept)


def _not_computed(thing):
    """The same, with words in place of every value that the chapter would have recorded."""
    if isinstance(thing, str):
        return GLUE.sub(NOT_COMPUTED, thing)
    if isinstance(thing, dict):
        return {key: _not_computed(value) for key, value in thing.items()}
    return [_not_computed(value) for value in thing] if isinstance(thing, list) else thing


def _placeholder():
    """An empty picture, so that the figure keeps its number and what refers to it still leads there."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="360" height="60">'
        f'<text x="180" y="35" text-anchor="middle" font-family="sans-serif">{NOT_COMPUTED}</text></svg>'
    )
    return nbformat.v4.new_output("display_data", {"image/svg+xml": svg, "text/plain": NOT_COMPUTED})


def _notice(error):
    if error is None:
        return (
            ":::{admonition} This chapter was not run when this book was built\n:class: warning\n\n"
            "Its text follows without its results, and its claims are not judged. `make book` runs it.\n:::"
        )
    shown = "\n".join(error.splitlines()[-LINES_OF_ERROR:])
    fence = "`" * (3 + max(map(len, re.findall("`*", shown))))  # longer than any in it
    return (
        ":::::{admonition} This chapter failed when this book was built\n:class: error\n\n"
        "Its text follows without its results, and its claims are not judged. It ended with:\n\n"
        f"{fence}text\n{shown}\n{fence}\n:::::"
    )
