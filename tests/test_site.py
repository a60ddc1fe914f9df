"""The site: what it holds, and that a bad or killed build leaves the last good one."""

import json
import multiprocessing
import os
import re
import sys
import time

import jsonschema
import mini_book
import nbformat
import pytest

from repro import site as site_module
from repro.chapters import BookError, chapters
from repro.ledger import LedgerError, judge
from repro.site import SiteError, build


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book that the command line has run, checked and built: its folder and what `build` printed."""
    with mini_book.shared(tmp_path_factory, "site") as root:
        printed = root / "printed.txt"
        if not printed.exists():
            mini_book.write(root)
            for command in ("run", "check", "build"):
                status, output, complaints = mini_book.repro(root, command)
                assert status == 0, complaints
            printed.write_text(output)
    return root, printed.read_text()


@pytest.fixture(scope="module")
def html(built):
    return built[0] / "_build" / "book" / "html"


@pytest.fixture(scope="module")
def page(html):
    return (html / "book" / "sums.html").read_text()


@pytest.mark.slow
class TestABuiltSite:
    def test_the_command_says_how_long_how_many_and_where(self, built):
        root, printed = built
        assert re.fullmatch(
            rf"sums +\d+ s\n3 claims: 1 confirmed, 2 refuted\n{root}/_build/book/html/index.html\n", printed
        )

    def test_values_are_pasted_into_the_prose(self, page):
        assert re.search(r"the sum is .*6.*, its mean .*2\.00", page)

    def test_the_equation_is_numbered_and_referred_to(self, page):
        assert re.search(r'<span class="eqno">\(1\)', page)
        assert re.search(r'href="#equation-eq-sum"[^>]*>Eq. 1<', page)

    def test_the_figure_has_number_caption_and_alternative_text(self, page):
        figure = re.search(r'<figure[^>]*id="fig-numbers".*?</figure>', page, re.DOTALL)[0]
        assert 'alt="A line that rises by one at each step."' in figure
        assert re.search(r"Fig\. 1.*The numbers\.", figure, re.DOTALL)
        assert ".svg" in figure

    def test_the_injected_parameters_are_folded(self, page):
        assert re.search(r"<details[^>]*>\s*<summary[^>]*>\s*.*Show the parameters of the profile book", page)

    def test_mathjax_comes_from_the_site(self, page, html):
        scripts = re.findall(r'<script[^>]*src="([^"]*)"', page)
        mathjax = [source for source in scripts if "mathjax" in source]
        assert mathjax
        assert not [source for source in scripts if "//" in source]
        assert all((html / "book" / source.split("?")[0]).exists() for source in mathjax)

    def test_each_value_has_its_anchor_before_the_cell_that_recorded_it(self, page):
        assert page.index('id="evidence-sums-mean"') < page.index("sums_mean")
        ledger_links = ("sums-total", "sums-mean", "sums-mean-low", "sums-mean-high")
        assert all(page.count(f'id="evidence-{name}"') == 1 for name in ledger_links)

    def test_the_ledger_links_to_it(self, html):
        ledger = (html / "book" / "ledger.html").read_text()
        assert '<a href="sums.html#evidence-sums-total">sums_<wbr>total</a> = 6 apples' in ledger
        assert '<a href="sums.html#sec-sum">section</a>' in ledger
        assert ledger.count('class="verdict ') == 3

    def test_claims_json_is_what_was_judged(self, built, html):
        root, _ = built
        judged = judge(root / "book" / "claims.yml", chapters(root), "book")
        published = json.loads((html / "claims.json").read_text())
        assert published["claims"] == json.loads(json.dumps(judged))
        assert published["profile"] == "book"
        jsonschema.validate(published, json.loads((html / published["$schema"]).read_text()))

    def test_a_chapter_ends_with_the_claims_it_settles(self, page):
        settled = page[page.index(">Claims settled here<") :]
        assert re.search(r'href="ledger.html#[0-9]{3}-[a-z-]+">.*class="verdict (confirmed|refuted)"', settled)
        assert settled.index("ledger.html#") < settled.index('class="stamp')

    def test_the_notebook_to_download_is_whole_and_tells_nothing_of_the_machine(self, built, html):
        root, _ = built
        path = html / "_sources" / "book" / "sums.ipynb"
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
        assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
        assert not any("papermill" in part.metadata for part in [notebook, *notebook.cells])
        assert str(root) not in path.read_text()
        assert sys.prefix not in path.read_text()

    def test_the_same_content_is_not_rendered_again(self, built, monkeypatch):
        root, _ = built
        monkeypatch.setattr(site_module, "_render", None)
        before = os.readlink(root / "_build" / "book" / "html")
        index, judged = build(root, "book")
        assert index.exists()
        assert len(judged) == 3
        assert os.readlink(root / "_build" / "book" / "html") == before


@pytest.fixture
def root(tmp_path):
    """A book that is executed, as far as the suite can see."""
    mini_book.write(tmp_path)
    mini_book.pretend_executed(tmp_path, "sums", sums_total=6, sums_mean=2.0, sums_mean_low=1.0, sums_mean_high=2.5)
    return tmp_path


def shown(root):
    return (root / "_build" / "book" / "html" / "index.html").read_text()


def sites(root):
    return {path.name for path in (root / "_build" / "book" / "sites").iterdir()}


def edit_index(root, text):
    (root / "book" / "index.md").write_text(f"# {text}\n")


def render(staged, output):
    """In place of Jupyter Book: the index page is its source."""
    html = output / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text((staged / "book" / "index.md").read_text())
    return html


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(site_module, "_render", render)


@pytest.mark.slow
def test_a_warning_is_an_error_and_leaves_the_last_good_site(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(site_module, "_render", render)
        edit_index(root, "Good")
        build(root, "book")
    edit_index(root, "Bad: {doc}`nosuch`")
    with pytest.raises(SiteError, match="the last good site is untouched") as error:
        build(root, "book")
    assert re.search(r"index.md:1: WARNING: unknown document: 'nosuch'", str(error.value))
    assert shown(root) == "# Good\n"
    assert len(sites(root)) == 1
    assert not list((root / "_build" / "book").glob("staging-*"))


def test_the_present_and_the_previous_site_are_kept(root, fast):
    seen = []
    for text in ("One", "Two", "Three"):
        edit_index(root, text)
        index, _ = build(root, "book")
        assert index.read_text() == shown(root) == f"# {text}\n"
        seen.append(os.readlink(root / "_build" / "book" / "html").removeprefix("sites/"))
        assert sites(root) == set(seen[-2:])
    build(root, "book")
    assert sites(root) == set(seen[-2:]), "an unchanged site does not push out the previous one"
    edit_index(root, "Two")
    build(root, "book")
    assert shown(root) == "# Two\n"
    assert sites(root) == set(seen[-2:])


@pytest.mark.parametrize("moment", ["repro.site._render", "repro.site._swap_in", "repro.site.os.replace"])
def test_a_killed_build_leaves_the_last_good_site(root, fast, monkeypatch, moment):
    edit_index(root, "Good")
    build(root, "book")
    edit_index(root, "New")

    def wait_to_be_killed(*arguments):
        (root / "reached").touch()
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(moment, wait_to_be_killed)
        process = multiprocessing.get_context("fork").Process(target=build, args=(root, "book"))
        process.start()
        while not (root / "reached").exists():
            assert process.is_alive()
            time.sleep(0.01)
        process.kill()
        process.join()
    assert shown(root) == "# Good\n"
    assert list((root / "_build" / "book").glob("staging-*"))

    build(root, "book")
    assert shown(root) == "# New\n"
    assert sorted(path.name for path in (root / "_build" / "book").iterdir()) == ["executed", "html", "sites"]


def test_there_is_a_good_site_at_every_moment(root, fast, monkeypatch):
    """Whatever file operation a build has reached, the link leads to a whole site."""
    edit_index(root, "Good")
    build(root, "book")
    edit_index(root, "New")
    seen = []

    def watch(event, arguments):
        if watching and event in ("os.rename", "os.remove", "os.symlink", "shutil.rmtree", "os.rmdir"):
            seen.append(shown(root))

    watching = True
    sys.addaudithook(watch)
    build(root, "book")
    watching = False
    assert set(seen) == {"# Good\n", "# New\n"}


def test_a_stale_chapter_is_not_published(root, fast):
    edit_index(root, "Good")
    build(root, "book")
    (root / "requirements.txt").write_text("nothing==2.0\n")
    with pytest.raises(BookError, match="not executed in their present state: sums; `python -m repro run"):
        build(root, "book")
    assert shown(root) == "# Good\n"


def test_a_disagreement_is_not_published(root, fast):
    edit_index(root, "Good")
    build(root, "book")
    claims = root / "book" / "claims.yml"
    claims.write_text(claims.read_text().replace("verdict: confirmed", "verdict: refuted"))
    with pytest.raises(LedgerError, match="000-total: the verdict written is refuted, the numbers say confirmed"):
        build(root, "book")
    assert shown(root) == "# Good\n"


def test_a_changed_docstring_is_another_site(root, fast):
    """The API page shows docstrings, also of modules that no chapter imports."""
    build(root, "book")
    (root / "gru_tf" / "unused.py").write_text('"""New."""\n')
    build(root, "book")
    assert len(sites(root)) == 2


def test_profiles_have_sites_of_their_own(root, fast):
    build(root, "book")
    mini_book.pretend_executed(root, "sums", "smoke", sums_total=3, sums_mean=1.5, sums_mean_low=1, sums_mean_high=2)
    edit_index(root, "Smoke")
    index, _ = build(root, "smoke")
    assert index == root / "_build" / "smoke" / "html" / "index.html"
    assert index.read_text() == "# Smoke\n"
    assert shown(root) != "# Smoke\n"
