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
from repro.chapters import Book
from repro.content_key import content_key
from repro.executed import executed_chapters, executed_path, failure_path
from repro.ledger import judge
from repro.published import unfinished
from repro.site import SiteError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book that the command line has run, judged and rendered: its folder and what was printed."""
    with mini_book.shared(tmp_path_factory, "site") as root:
        printed = root / "printed.txt"
        if not printed.exists():
            mini_book.write(root)
            status, output, complaints = mini_book.repro(root, "book")
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
        assert re.search(
            rf"\nsums +\d+ s\n{root}/_build/book/html/index.html\n3 claims: 1 confirmed, 2 refuted\n$", printed
        )

    def test_values_are_pasted_into_the_prose(self, page):
        assert re.search(r"the sum is .*6.*, its mean .*2\.00", page)

    def test_what_is_recorded_is_not_shown(self, page):
        assert "Mean(" not in page
        assert "1.9" not in page

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
        book = Book(built[0])
        judged = judge(book.claims, executed_chapters(book))
        published = json.loads((html / "claims.json").read_text())
        for claim, found in zip(published["claims"], judged, strict=True):
            evidence = [item["name"] for item in found["evidence"]]
            added = {"evidence": evidence, "replications": {"held": 0, "of": 0}}
            assert claim == json.loads(json.dumps(found)) | added
        assert (published["run"]["profile"], published["run"]["seed"]) == ("book", 0)
        assert published["numbers"]["sums_mean"]["samples"] == pytest.approx([1.9, 2.0, 2.1])
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
        assert build(root).exists()
        assert os.readlink(root / "_build" / "book" / "html") == before


@pytest.fixture
def root(tmp_path):
    """A book that is executed, as far as the suite can see."""
    mini_book.write(tmp_path)
    mini_book.pretend_found(tmp_path)
    return tmp_path


def build(root, profile="book"):
    book = Book(root, profile)
    executed = executed_chapters(book)
    return site_module.build(book, executed, judge(book.claims, executed))


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
        build(root)
    edit_index(root, "Bad: {doc}`nosuch`")
    with pytest.raises(SiteError, match="the last good site is untouched") as error:
        build(root)
    assert re.search(r"index.md:1: WARNING: unknown document: 'nosuch'", str(error.value))
    assert shown(root) == "# Good\n"
    assert len(sites(root)) == 1
    assert not list((root / "_build" / "book").glob("staging-*"))


def test_the_present_and_the_previous_site_are_kept(root, fast):
    seen = []
    for text in ("One", "Two", "Three"):
        edit_index(root, text)
        index = build(root)
        assert index.read_text() == shown(root) == f"# {text}\n"
        seen.append(os.readlink(root / "_build" / "book" / "html").removeprefix("sites/"))
        assert sites(root) == set(seen[-2:])
    build(root)
    assert sites(root) == set(seen[-2:]), "an unchanged site does not push out the previous one"
    edit_index(root, "Two")
    build(root)
    assert shown(root) == "# Two\n"
    assert sites(root) == set(seen[-2:])


@pytest.mark.parametrize("moment", ["repro.site._render", "repro.site._swap_in", "repro.site.os.replace"])
def test_a_killed_build_leaves_the_last_good_site(root, fast, monkeypatch, moment):
    edit_index(root, "Good")
    build(root)
    edit_index(root, "New")

    def wait_to_be_killed(*arguments):
        (root / "reached").touch()
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(moment, wait_to_be_killed)
        process = multiprocessing.get_context("fork").Process(target=build, args=(root,))
        process.start()
        while not (root / "reached").exists():
            assert process.is_alive()
            time.sleep(0.01)
        process.kill()
        process.join()
    assert shown(root) == "# Good\n"
    assert list((root / "_build" / "book").glob("staging-*"))

    build(root)
    assert shown(root) == "# New\n"
    assert sorted(path.name for path in (root / "_build" / "book").iterdir()) == ["executed", "html", "sites"]


def test_there_is_a_good_site_at_every_moment(root, fast, monkeypatch):
    """Whatever file operation a build has reached, the link leads to a whole site."""
    edit_index(root, "Good")
    build(root)
    edit_index(root, "New")
    seen = []

    def watch(event, arguments):
        if watching and event in ("os.rename", "os.remove", "os.symlink", "shutil.rmtree", "os.rmdir"):
            seen.append(shown(root))

    watching = True
    sys.addaudithook(watch)
    build(root)
    watching = False
    assert set(seen) == {"# Good\n", "# New\n"}


def test_a_changed_docstring_is_another_site(root, fast):
    """The API page shows docstrings, also of modules that no chapter imports."""
    build(root)
    (root / "gru_tf" / "unused.py").write_text('"""New."""\n')
    build(root)
    assert len(sites(root)) == 2


def test_profiles_have_sites_of_their_own(root, fast):
    build(root)
    mini_book.pretend_found(root, "smoke", total=3, mean=1.5)
    edit_index(root, "Smoke")
    index = build(root, "smoke")
    assert index == root / "_build" / "smoke" / "html" / "index.html"
    assert index.read_text() == "# Smoke\n"
    assert shown(root) != "# Smoke\n"


def test_a_mended_sentence_is_another_site_of_the_same_execution(root, fast):
    edit_index(root, "One")
    build(root)
    before = executed_path(mini_book.chapter(root, "sums")).stat().st_mtime_ns
    source = root / "book" / "sums.md"
    source.write_text(source.read_text().replace("draws it.", "draws them all."))
    build(root)
    assert len(sites(root)) == 2
    assert executed_path(mini_book.chapter(root, "sums")).stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def with_a_failure(tmp_path_factory):
    """The site of a book with a chapter and a lesson in a folder, which are whole, and a chapter that fails."""
    with mini_book.shared(tmp_path_factory, "failed") as root:
        if not (root / "_build").exists():
            broken = mini_book.SUMS.replace("plt.show()", "nosuch()").replace("sec-sum", "sec-more")
            for old in ("sums_", "eq-sum", "fig-numbers"):
                broken = broken.replace(old, f"more-{old}" if "-" in old else "more_")
            mini_book.write(root, **{"learn/sums": mini_book.SUMS, "learn/lesson": "", "more": broken})
            (root / "book" / "learn" / "lesson.md").write_text(mini_book.LESSON)
            for name, old, new in (("claims.yml", " sums#", " learn/sums#"), ("index.md", "<sums>", "<learn/sums>")):
                path = root / "book" / name
                path.write_text(path.read_text().replace(old, new))
            status, _, complaints = mini_book.repro(root, "book")
            assert status == 1
            assert "repro: failed: more. Their pages say so" in complaints
    return root / "_build" / "book" / "html" / "book"


@pytest.mark.slow
class TestAFailedChapter:
    def test_its_page_shows_the_text_under_the_error(self, with_a_failure):
        page = (with_a_failure / "more.html").read_text()
        assert page.index("This chapter failed when this book was built") < page.index("<h2>The sum")
        assert re.search("NameError.*nosuch.*is not defined", page)
        assert 'class="stamp"' not in page

    def test_what_it_would_have_recorded_is_not_computed(self, with_a_failure):
        page = (with_a_failure / "more.html").read_text()
        assert "the sum is not computed, its mean not computed" in page

    def test_its_figure_keeps_number_caption_and_place(self, with_a_failure):
        page = (with_a_failure / "more.html").read_text()
        figure = re.search(r'<figure[^>]*id="more-fig-numbers".*?</figure>', page, re.DOTALL)[0]
        assert "The numbers." in figure
        assert re.search(r'href="#more-fig-numbers"[^>]*>.*Fig\. \d', page)

    def test_the_other_is_whole(self, with_a_failure):
        page = (with_a_failure / "learn" / "sums.html").read_text()
        assert re.search(r"the sum is .*6.*, its mean .*2\.00", page)
        assert "not computed" not in page

    def test_the_ledger_and_a_chapter_in_a_folder_link_to_each_other(self, with_a_failure):
        assert '<a href="../ledger.html#000-total">' in (with_a_failure / "learn" / "sums.html").read_text()
        ledger = (with_a_failure / "ledger.html").read_text()
        assert '<a href="learn/sums.html#evidence-sums-total">' in ledger
        assert '<a href="learn/sums.html#sec-sum">section</a>' in ledger


@pytest.mark.slow
class TestALesson:
    @pytest.fixture(scope="class")
    def lesson(self, with_a_failure):
        return (with_a_failure / "learn" / "lesson.html").read_text()

    def test_its_figures_have_the_look_of_the_book_and_its_stamp_comes_last(self, lesson):
        assert re.search(r'<figure[^>]*id="fig-lesson".*?\.svg', lesson, re.DOTALL)
        assert lesson.index("The last word.") < lesson.index('class="stamp"')

    def test_nothing_of_the_suite_is_seen_in_it(self, lesson, with_a_failure):
        assert "repro." not in lesson
        assert "repro" not in next(with_a_failure.parent.glob("_downloads/*/lesson.py")).read_text()

    def test_the_files_that_it_writes_are_not_left_in_the_book(self, with_a_failure):
        assert not list(with_a_failure.parents[3].glob("mine.txt"))

    def test_its_script_is_its_code_without_solutions(self, with_a_failure):
        script = next(with_a_failure.parent.glob("_downloads/*/lesson.py")).read_text()
        assert (
            script == 'import matplotlib.pyplot as plt\n\nopen("mine.txt", "w").close()\nplt.plot([1, 2])\nplt.show()\n'
        )

    def test_its_box_tells_what_the_ledger_says_in_this_build(self, lesson):
        box = lesson[lesson.index("It was measured elsewhere.") : lesson.index("The last word.")]
        assert re.search(r'href="../ledger.html#000-total">000-total</a>.*class="verdict confirmed"', box)
        assert "The whole interval, from 1.75 to 2.25, is above zero." in box


def test_a_failed_chapter_is_told_without_its_old_outputs(root, fast):
    chapter = mini_book.chapter(root, "sums")
    source = root / "book" / "sums.md"
    source.write_text(source.read_text().replace("total / N", "total / 0"))
    failing = mini_book.chapter(root, "sums")
    error = "ZeroDivisionError: <b>\n\n``` line"
    failure_path(chapter).write_text(json.dumps({"key": content_key(failing, []), "error": error}))
    book = Book(root)
    executed = executed_chapters(book)
    assert [notebook for _, notebook in executed] == [None]
    page = unfinished(failing, error, "## Claims settled here")
    texts = [cell.source for cell in page.cells if cell.cell_type == "markdown"]
    assert texts[0].startswith("# A chapter\n\n:::::{admonition} This chapter failed")
    assert f"``````text\n{error}\n``````\n:::::" in texts[0], "no fence within the error ends the notice"
    assert not any("glue" in text for text in texts)
    shown = [output for cell in page.cells for output in cell.get("outputs", [])]
    assert ["not computed" in output["data"]["image/svg+xml"] for output in shown] == [True]
    assert page.cells[-2].source == "## Claims settled here"
    left_out = unfinished(failing, None, "").cells[0].source
    assert left_out.startswith("# A chapter\n\n:::{admonition} This chapter was not run when this book was built")
    nbformat.validate(page)
