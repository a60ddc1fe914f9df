"""What would flip a verdict flips it: chapters edited on purpose, run at the smoke profile and judged again."""

import ast
import shutil
from pathlib import Path

import jupytext
import mini_book
import pytest
import real_book
from ruamel.yaml import YAML

from repro.executed import Executed, executed_path
from repro.ledger import judge

CLAIMS = mini_book.ROOT / "book" / "claims.yml"
CONTROLS = YAML(typ="safe").load(Path(__file__).with_name("negative_controls.yml"))
WRITTEN = {claim["id"]: claim["verdict"] for claim in YAML().load(CLAIMS)}


class WithoutAssertions(ast.NodeTransformer):
    """A chapter's own checks would stop an edited chapter before its values are recorded."""

    def visit_Assert(self, node):
        return ast.Pass()


def sabotaged(control):
    """The source of the edited chapter."""
    text = mini_book.chapter(mini_book.ROOT, control["chapter"]).text
    for edit in control["edits"]:
        assert text.count(edit["old"]) == 1, f"{text.count(edit['old'])} places to edit: {edit['why']}"
        text = text.replace(edit["old"], edit["new"])
    if "until" in control:
        assert text.count(control["until"]) == 1
        text = text.partition(control["until"])[0] + mini_book.STAMP
    for cell in jupytext.reads(text, fmt="md:myst").cells:
        if cell.cell_type == "code":
            text = text.replace(cell.source, ast.unparse(WithoutAssertions().visit(ast.parse(cell.source))))
    return text


def book_with(root, control):
    """The book at `root`, with one chapter edited."""
    for path in mini_book.ROOT.iterdir():
        if path.name not in ("book", "_build"):
            (root / path.name).symlink_to(path)
    shutil.copytree(mini_book.ROOT / "book", root / "book")
    (root / "book" / f"{control['chapter']}.md").write_text(sabotaged(control))
    return root


def verdicts(root, control, folder):
    """What the executed chapter in the book at `root` makes of the claims."""
    claims = [claim for claim in YAML().load(CLAIMS) if claim["id"] in control["verdicts"]]
    for claim in claims:
        claim.pop("see", None)  # names claims that are left out here
    path = folder / "claims.yml"
    YAML().dump(claims, path)
    chapter = mini_book.chapter(root, control["chapter"], real_book.PROFILE)
    judged = judge(path, [(chapter, Executed.read(executed_path(chapter)))])
    return {claim["id"]: claim["computed"] for claim in judged}


each_control = pytest.mark.parametrize("control", CONTROLS, ids=[control["chapter"] for control in CONTROLS])


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestAtTheSmokeProfile:
    @each_control
    def test_undisturbed_it_gives_the_verdict_of_the_book(self, tmp_path_factory, tmp_path, control):
        real_book.executed(tmp_path_factory)
        expected = {claim: WRITTEN[claim] for claim in control["verdicts"]}
        assert verdicts(mini_book.ROOT, control, tmp_path) == expected

    @each_control
    def test_edited_it_gives_another(self, tmp_path, control):
        root = book_with(tmp_path, control)
        status, _, complaints = mini_book.repro(root, "run", control["chapter"], "--profile", real_book.PROFILE)
        assert status == 0, complaints
        assert verdicts(root, control, tmp_path) == control["verdicts"]


def test_many_verdicts_are_flipped():
    flips = [(claim, verdict) for control in CONTROLS for claim, verdict in control["verdicts"].items()]
    assert all(verdict not in ("inconclusive", WRITTEN[claim]) for claim, verdict in flips)
    assert len(dict(flips)) >= 20
