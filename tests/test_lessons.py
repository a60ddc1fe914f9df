"""Lessons and recipes: short, in plain Keras, picture and answer first; and their scripts run alone."""

import re
import subprocess
import sys

import mini_book
import pytest
import real_book

from repro.chapters import Book, Chapter

CHAPTERS = [chapter for chapter in Book(mini_book.ROOT, real_book.PROFILE).chapters() if not chapter.has_parameters]
LESSONS = [chapter for chapter in CHAPTERS if chapter.name.startswith("learn/")]
RECIPES = [chapter for chapter in CHAPTERS if chapter.name.startswith("use/")]

each = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
each_lesson = pytest.mark.parametrize("chapter", LESSONS, ids=lambda chapter: chapter.name)
each_recipe = pytest.mark.parametrize("chapter", RECIPES, ids=lambda chapter: chapter.name)

WORDS, EQUATIONS, NUMBERS, VISIBLE_LINES = 1000, 4, 8, 60  # of a lesson
LINES = 80  # of a recipe
# But of the page of troubles: each of its sections runs what fails and what mends it, and is read alone.
LINES_OF = {"use/troubles": 340}
TIME_LIMIT = 600  # seconds: it should run in 20, but not fail on a busy machine
WORDS_BEFORE_PICTURE = 60  # what a phone shows beside it on the first screen
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}

DIRECTIVE = re.compile(r"^```\{.*?^```$", re.MULTILINE | re.DOTALL)
EQUATION = re.compile(r"^\$\$.*?^\$\$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\{[a-z:]+\}`[^`]*`|`[^`]*`|\$[^$]*\$|\]\([^)]*\)|^\([a-z-]+\)=$|^\*\*\d+\.", re.MULTILINE)


def markdown(chapter):
    return "\n\n".join(cell.source for cell in chapter.notebook.cells if cell.cell_type == "markdown")


def prose(chapter):
    """The text without exercises, equations, directives, code and roles."""
    text = markdown(chapter).partition("\n## Exercises\n")[0]
    return INLINE.sub(" ", EQUATION.sub(" ", DIRECTIVE.sub(" ", text)))


def lines(chapter, folded=True):
    """How many lines of code a reader sees, or with `folded` there are, without those of exercises."""
    cells = [cell for cell in chapter.code_cells if "hide-cell" not in cell.metadata.get("tags", [])]
    shown = [cell for cell in cells if folded or not FOLDED & set(cell.metadata.get("tags", []))]
    return sum(bool(line.strip()) for cell in shown for line in cell.source.splitlines())


def words_before_picture(chapter):
    """How many words come before the first figure."""
    before = []
    for cell in chapter.notebook.cells:
        if cell.cell_type == "markdown":
            before += INLINE.sub(" ", DIRECTIVE.sub(" ", cell.source)).split()
        elif "figure" in cell.metadata.get("mystnb", {}):
            break
    return len(before)


def mistakes(chapter):
    """Where a lesson or a recipe leaves its form."""
    text = markdown(chapter)
    if re.search(r"\brepro\b", "\n".join(chapter.code)) or "{glue" in text:
        yield "speaks of the suite"
    if "```{evidence} " not in text:
        yield "no box of evidence"
    for name, found, most in (
        ("words", len(prose(chapter).split()), WORDS),
        ("equations", len(EQUATION.findall(text)), EQUATIONS),
    ):
        if found > most:
            yield f"{found} {name}; at most {most}"
    if chapter.time_limit > TIME_LIMIT:
        yield f"a time limit of {chapter.time_limit} s; at most {TIME_LIMIT}"


def mistakes_of_a_lesson(chapter):
    yield from mistakes(chapter)
    text = markdown(chapter)
    if (found := lines(chapter, folded=False)) > VISIBLE_LINES:
        yield f"{found} visible lines of code; at most {VISIBLE_LINES}"
    if (found := len(re.findall(r"\d+(?:[.,]\d+)*", prose(chapter)))) > NUMBERS:
        yield f"{found} numbers; at most {NUMBERS}"
    if (found := words_before_picture(chapter)) > WORDS_BEFORE_PICTURE:
        yield f"{found} words before the first picture; at most {WORDS_BEFORE_PICTURE}"
    if "**The short answer.**" not in text:
        yield "no short answer"
    for heading in ("What goes wrong", "Take away", "Exercises"):
        if f"\n## {heading}\n" not in text:
            yield f"no section {heading!r}"
    exercises = re.findall(r"^\*\*\d+\. ([^*]+)\*\*", text, re.MULTILINE)
    solutions = [cell for cell in chapter.code_cells if "hide-cell" in cell.metadata.get("tags", [])]
    if len(exercises) not in (2, 3) or len(solutions) != len(exercises):
        yield f"{len(exercises)} exercises, {len(solutions)} solutions; two or three of both"
    if "Predict, then run." not in exercises:
        yield "no exercise to predict, then run"


def mistakes_of_a_recipe(chapter):
    yield from mistakes(chapter)
    most = LINES_OF.get(chapter.name, LINES)
    if (found := lines(chapter)) > most:
        yield f"{found} lines of code; at most {most}"
    if f"<{chapter.source.stem}.py>`" not in chapter.text:
        yield "no script to download"


@each_lesson
def test_a_lesson_is_short_and_shows_picture_and_answer_first(chapter):
    assert list(mistakes_of_a_lesson(chapter)) == []


@each_recipe
def test_a_recipe_is_short_and_can_be_taken_away(chapter):
    assert list(mistakes_of_a_recipe(chapter)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_recipe
def test_the_script_of_a_recipe_runs_alone_in_an_empty_folder(chapter, tmp_path):
    script = tmp_path / f"{chapter.source.stem}.py"
    script.write_text(chapter.script)
    environment = {"PATH": "", "HOME": str(tmp_path), "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("print(f", "import repro\nprint(f", "speaks of the suite"),
        ("```{evidence} ", "```{note} ", "no box of evidence"),
        ("## Take away", "word " * WORDS + "\n\n## Take away", "words; at most 1000"),
        ("## Take away", "$$\nx\n$$\n\n" * 4 + "## Take away", "equations; at most 4"),
        ("print(f", "x = 1\n" * 60 + "print(f", "visible lines of code; at most 60"),
        ("## Take away", "7 " * 9 + "\n\n## Take away", "numbers; at most 8"),
        ("# Why gates?\n", "# Why gates?\n\n" + "word " * 60, "words before the first picture; at most 60"),
        ("**The short answer.**", "Well.", "no short answer"),
        ("## What goes wrong", "## Wrong", "no section 'What goes wrong'"),
        ("**1. Predict, then run.**", "**1. Run.**", "no exercise to predict, then run"),
        ("**3. ", "**", "2 exercises, 3 solutions; two or three of both"),
        ("time_limit: 600", "time_limit: 900", "a time limit of 900 s; at most 600"),
    ],
)
def test_a_lesson_out_of_form_is_found(tmp_path, old, new, mistake):
    source = tmp_path / "book" / "learn" / "why-gates.md"
    source.parent.mkdir(parents=True)
    text = (mini_book.ROOT / "book" / "learn" / "why-gates.md").read_text()
    assert old in text
    source.write_text(text.replace(old, new, 1))
    found = list(mistakes_of_a_lesson(Chapter(Book(tmp_path), "learn/why-gates")))
    assert len(found) == 1
    assert found[0].endswith(mistake)
