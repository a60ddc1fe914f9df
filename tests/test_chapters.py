"""`repro.chapters`: reading the book's folder."""

import mini_book
import pytest

from repro.chapters import Book, BookError


@pytest.fixture
def root(tmp_path):
    return mini_book.write(tmp_path, sums=mini_book.SUMS, more=mini_book.STAMP)


def test_pages_come_in_reading_order(root):
    assert Book(root).pages == ["index", "sums", "more", "ledger"]


def test_pages_may_lie_in_folders_and_under_other_pages(root):
    toc = "format: jb-book\nroot: book/index\nparts:\n  - chapters:\n      - file: book/learn/sums\n"
    toc += "        sections:\n          - file: book/learn/more.md\n      - url: https://example.org\n"
    (root / "_toc.yml").write_text(toc)
    assert Book(root).pages == ["index", "learn/sums", "learn/more"]
    mini_book.write_chapter(root, "learn/sums", mini_book.SUMS)
    mini_book.write_chapter(root, "learn/more", mini_book.STAMP)
    assert [chapter.name for chapter in Book(root).chapters()] == ["learn/sums", "learn/more"]


def test_a_page_outside_of_the_book_is_named(root):
    (root / "_toc.yml").write_text("root: book/index\nchapters:\n  - file: notes/more\n")
    with pytest.raises(BookError, match="_toc.yml lists notes/more; pages lie below `book`"):
        Book(root).pages  # noqa: B018


def test_chapters_are_the_pages_that_are_notebooks(root):
    assert [chapter.name for chapter in Book(root).chapters()] == ["sums", "more"]
    assert [chapter.name for chapter in Book(root).chapters(["more"])] == ["more"]


def test_an_unknown_chapter_is_named_with_the_known_ones(root):
    with pytest.raises(BookError, match="no chapter called nosuch; the chapters are sums, more"):
        Book(root).chapters(["nosuch"])


def test_a_page_that_does_not_exist_is_an_error(root):
    (root / "book" / "more.md").unlink()
    with pytest.raises(BookError, match="more.md is listed in _toc.yml but does not exist"):
        Book(root).chapters()


def test_a_profile_is_its_name_and_its_overrides(root):
    assert mini_book.chapter(root, "sums", "smoke").parameters == {"PROFILE": "smoke", "SEED": 0, "N": 2}
    assert mini_book.chapter(root, "sums", seed=7).parameters == {"PROFILE": "book", "SEED": 7}
    assert mini_book.chapter(root, "sums").time_limit == 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  time_limit: 60\n", "", "needs `repro:` with `time_limit` and `profiles`"),
        ("repro:\n", "other:\n", "needs `repro:` with `time_limit` and `profiles`"),
        ("    smoke:", "    smok:", "unknown profile ['smok']"),
    ],
)
def test_a_mistake_in_the_front_matter_is_named(root, old, new, message):
    source = root / "book" / "sums.md"
    source.write_text(source.read_text().replace(old, new, 1))
    with pytest.raises(BookError) as error:
        mini_book.chapter(root, "sums", "smoke").parameters  # noqa: B018
    assert message in str(error.value)
    assert str(source) in str(error.value)


def test_profiles_without_a_cell_of_parameters_are_a_mistake(root):
    source = root / "book" / "sums.md"
    source.write_text(source.read_text().replace(":tags: [parameters]", ":tags: [hide-input]"))
    with pytest.raises(BookError, match="sums.md: no cell is tagged `parameters`"):
        mini_book.chapter(root, "sums").parameters  # noqa: B018


def test_a_page_without_parameters_runs_as_it_stands(root):
    (root / "book" / "more.md").write_text(mini_book.LESSON)
    assert mini_book.chapter(root, "more", "smoke", seed=7).parameters == {}


def test_code_leaves_out_prose_and_magics(root):
    mini_book.write_chapter(root, "more", mini_book.code("%matplotlib inline", "!ls", "import gru_tf"))
    assert list(mini_book.chapter(root, "more").code)[1:] == ["import gru_tf"]


def test_each_profile_and_seed_has_a_folder_of_its_own(root):
    built = root / "_build"
    assert Book(root).built == built / "book"
    assert Book(root, "smoke").built == built / "smoke"
    assert Book(root, "book", 7).built == built / "book-seed-7"
    assert Book(root, "book", 7, "again").built == built / "again"
