"""The ledger: mistakes are found with their line, and verdicts follow from the numbers."""

import json

import mini_book
import pytest
from ruamel.yaml import YAML

from repro import t_interval
from repro.chapters import Book
from repro.executed import executed_chapters
from repro.ledger import LedgerError, disagreements, judge, outcome, read_claims, recorded, summary, unlikely


@pytest.fixture
def book(tmp_path):
    """A book whose chapter has recorded its values."""
    mini_book.write(tmp_path)
    mini_book.pretend_found(tmp_path)
    return tmp_path


@pytest.fixture
def edited(book):
    """Replace a piece of `claims.yml`; returns the line on which the new text starts."""

    def edit(old, new):
        path = book / "book" / "claims.yml"
        before, found, after = path.read_text().partition(old)
        assert found, f"{old!r} is not in claims.yml"
        path.write_text(before + new + after)
        return before.count("\n") + 1

    return edit


def judged(root):
    return judge(Book(root).claims, executed_chapters(Book(root)))


def complaint(root):
    with pytest.raises(LedgerError) as error:
        judged(root)
    return str(error.value)


def test_verdicts_follow_from_the_numbers(book):
    claims = judged(book)
    assert [(claim["id"], claim["computed"]) for claim in claims] == [
        ("000-total", "confirmed"),
        ("001-mean", "refuted"),
        ("001-author", "refuted"),
    ]
    assert summary(claims) == "1 confirmed, 2 refuted"


def test_a_judged_claim_holds_its_fields_and_its_evidence(book):
    written = YAML(typ="safe").load(book / "book" / "claims.yml")
    for claim, source in zip(judged(book), written, strict=True):
        kept = source.keys() - {"evidence", "because"}
        assert {key: claim[key] for key in kept} == {key: source[key] for key in kept}
        assert json.loads(json.dumps(claim))
    samples = [1.9, 2.0, 2.1]
    mean, interval = t_interval(samples)
    assert judged(book)[1]["evidence"] == [
        {
            "name": "sums_mean",
            "value": mean,
            "unit": None,
            "chapter": "sums",
            "interval": list(interval),
            "level": 0.95,
            "samples": samples,
            "log": False,
        }
    ]
    assert [claim["odds"] for claim in judged(book)] == [1.0, pytest.approx(1, abs=0.02), None]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: 000-total", "id: total", "'total' does not match"),
        ('source: "001"', "source: 001", "1 is not of type 'string'"),
        ("kind: executable", "kind: guess", "'guess' is not one of"),
        ("verdict: confirmed", "verdict: true", "True is not one of"),
        ("chapter: sums#sec-sum", "chapter: sums", "'sums' does not match"),
        ("evidence: [sums_total]", "evidence: [sums_total, sums_total]", "non-unique"),
        ("evidence: [sums_mean]", "evidence: []", "should be non-empty"),
        ("confirmed: sums_total == 6", "perhaps: sums_total == 6", "'perhaps' was unexpected"),
        ("confirmed: They were added up.", "confirmed: So.", "'So.' is too short"),
        ("cites: [cho2014gru]", "cites: cho2014gru", "'cho2014gru' is not of type 'array'"),
    ],
)
def test_a_schema_error_is_given_with_its_line(book, edited, old, new, message):
    line = edited(old, new)
    assert f"claims.yml:{line}: " in complaint(book)
    assert message in complaint(book)


@pytest.mark.parametrize(
    ("old", "new", "message", "claim"),
    [
        ("  because: The paper says who did.\n", "", "'because' is a required property", "001-author"),
        ("  verdict: confirmed\n", "  verdict: confirmed\n  note: more\n", "'note' was unexpected", "000-total"),
        ("  evidence: [sums_mean]\n", "", "'evidence' is a required property", "001-mean"),
        ("  cites: [cho2014gru]\n", "", "'cites' is a required property", "001-author"),
    ],
)
def test_a_field_too_few_or_too_many_is_given_with_the_line_of_the_claim(book, edited, old, new, message, claim):
    edited(old, new)
    line = (book / "book" / "claims.yml").read_text().split(f"- id: {claim}")[0].count("\n") + 1
    assert f"claims.yml:{line}: " in complaint(book)
    assert message in complaint(book)


def test_a_documentary_claim_has_neither_evidence_nor_check(book, edited):
    edited("  cites: [cho2014gru]", "  evidence: [sums_total]\n  cites: [cho2014gru]")
    line = mini_book.CLAIMS.split("- id: 001-author")[0].count("\n") + 1
    assert f"claims.yml:{line}: " in complaint(book)
    assert "'evidence' is not one of" in complaint(book)


def test_what_is_no_yaml_is_given_with_its_line(book, edited):
    line = edited("  kind: algebra", "  kind: [algebra")
    assert f"line {line}" in complaint(book)


def test_an_empty_ledger_must_be_a_list(book):
    (book / "book" / "claims.yml").write_text("")
    assert "claims.yml:1: " in complaint(book)
    (book / "book" / "claims.yml").write_text("[]")
    assert judged(book) == []


def test_every_mistake_is_reported_at_once(book, edited):
    lines = [edited("kind: algebra", "kind: guess"), edited("kind: executable", "kind: guess")]
    with pytest.raises(LedgerError) as error:
        read_claims(book / "book" / "claims.yml")
    assert [
        f"claims.yml:{line}: " in message for line, message in zip(lines, str(error.value).splitlines(), strict=True)
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: 001-mean", "id: 000-total", "this id is used twice"),
        ("see: [000-total]", "see: [000-other]", "`see` names the unknown claim '000-other'"),
        ("chapter: sums#sec-sum", "chapter: nosuch#sec-sum", "unknown chapter 'nosuch'; the chapters are sums"),
        ("chapter: sums#sec-sum", "chapter: sums#nosuch", "'sums' has no section labelled (nosuch)="),
        ("evidence: [sums_total]", "evidence: [sums_nosuch]", "evidence 'sums_nosuch' was not recorded by any chapter"),
        (
            "evidence: [sums_total]",
            "evidence: [sums_total, sums_mean]",
            "evidence 'sums_mean' is used neither by the check nor by a reason",
        ),
        ("sums_total == 6", "sums_mean == 6", "'sums_mean' is not among the claim's evidence"),
        ("sums_total != 6", "sums_total == 2 * 3", "the checks for confirmed and refuted both hold; at most one may"),
        ("    refuted: They", "    depends: They", "`because` gives no reason for refuted"),
        (
            "    inconclusive: It",
            "    depends: On what then?\n    inconclusive: It",
            "a reason for depends, which the check never",
        ),
        ("{sums_total:d}", "{sums_nosuch}", "the reason for refuted names 'sums_nosuch', which is not among"),
        ("{sums_total:d}", "{sums_total.real}", "the reason for refuted names 'sums_total.real', which is not among"),
        ("{sums_total:d}", "{sums_total:q}", "the reason for refuted cannot be written: Unknown format code 'q'"),
        ("{sums_total:d}", "{sums_total", "the reason for refuted has a brace too many"),
        ("sums_total == 6", "sums_total.real == 6", "'sums_total.real' is not part of the check language"),
        ("sums_total == 6", "sums_total ==", "does not parse"),
        ("sums_total == 6", "sums_total == 6 and sums_total < 'six'", "not supported between instances"),
    ],
)
def test_a_mistake_is_given_with_line_and_claim(book, edited, old, new, message):
    edited(old, new)
    text = (book / "book" / "claims.yml").read_text()
    before, claim = text[: text.index(new)], text[: text.index(new) + len(new)].rpartition("- id: ")[2].split("\n")[0]
    line = before.count("\n") + 1 if "- id" in before[-6:] else before.rpartition("- id:")[0].count("\n") + 1
    assert f"claims.yml:{line}: {claim}: " in complaint(book)
    assert message in complaint(book)


def test_a_verdict_turned_round_contradicts_and_names_the_numbers(book, edited):
    edited("verdict: refuted", "verdict: confirmed")
    claims = judged(book)
    assert [claim["outcome"] for claim in claims] == ["same", "contradicts", "same"]
    (line,) = disagreements(claims)
    assert line.startswith(
        "001-mean: contradicts: the verdict written is confirmed, the numbers say refuted (sums_mean"
    )
    assert line.endswith("(sums_mean = 2 [1.752, 2.248], 3 seeds)")


def test_other_numbers_make_a_verdict_disagree(book):
    mini_book.pretend_found(book, total=7)
    assert disagreements(judged(book)) == [
        "000-total: contradicts: the verdict written is confirmed, the numbers say refuted (sums_total = 7)"
    ]


@pytest.mark.parametrize(
    ("written", "computed", "expected"),
    [
        ("refuted", "refuted", "same"),
        ("inconclusive", "inconclusive", "same"),
        ("inconclusive", "refuted", "undecided"),
        ("depends", "inconclusive", "undecided"),
        ("depends", "refuted", "contradicts"),
        ("confirmed", "not-judged", "not-judged"),
    ],
)
def test_an_outcome_is_of_two_verdicts(written, computed, expected):
    assert outcome(written, computed) == expected


def test_no_check_that_holds_is_inconclusive_and_undecided(book, edited):
    edited("refuted: sums_total != 6", "refuted: sums_total < 0")
    edited("confirmed: sums_total == 6", "confirmed: sums_total > 10")
    assert (judged(book)[0]["computed"], judged(book)[0]["outcome"]) == ("inconclusive", "undecided")
    edited("verdict: confirmed", "verdict: inconclusive")
    assert judged(book)[0]["outcome"] == "same"


def test_without_a_chapter_its_claims_are_not_judged_and_the_others_are(book):
    (chapter, _), *_ = executed_chapters(Book(book))
    claims = judge(Book(book).claims, [(chapter, None)])
    assert [claim["outcome"] for claim in claims] == ["not-judged", "not-judged", "same"]
    assert [claim["computed"] for claim in claims] == ["not-judged", "not-judged", "refuted"]
    assert disagreements(claims)[0] == (
        "000-total: not judged here, since a chapter did not run; the verdict written is confirmed"
    )


def test_a_verdict_that_may_not_come_out_again_is_listed_with_its_odds(book):
    assert unlikely(judged(book)) == []
    mini_book.pretend_found(book, mean=0.26)
    (line,) = unlikely(judged(book))
    assert line.startswith("001-mean: refuted comes out again with odds of 0.")


def test_the_reason_is_that_of_the_verdict_found_with_its_numbers(book):
    assert [claim["because"] for claim in judged(book)] == [
        "They were added up.",
        "The whole interval, from 1.75 to 2.25, is above zero.",
        "The paper says who did.",
    ]
    mini_book.pretend_found(book, total=7)
    assert judged(book)[0]["because"] == "They add up to 7."
    mini_book.pretend_found(book, mean=0.0)
    assert judged(book)[1]["because"] == "The interval holds zero."


def test_what_cannot_be_tested_needs_no_check(book, edited):
    edited("  evidence: [sums_total]\n  check: {confirmed: sums_total == 6, refuted: sums_total != 6}\n", "")
    assert "'evidence' is a required property" in complaint(book)
    edited("verdict: confirmed", "verdict: not-testable")
    assert "is not of type 'string'" in complaint(book)
    reasons = mini_book.CLAIMS.partition("  because:\n")[2].partition("- id")[0]
    edited(f"  because:\n{reasons}", "  because: Nobody can count that far.\n")
    assert judged(book)[0]["computed"] == "not-testable"
    assert judged(book)[0]["because"] == "Nobody can count that far."


def test_a_name_is_recorded_once_in_a_chapter(book):
    path = mini_book.pretend_found(book)
    path.write_text(path.read_text().replace('"sums_mean_high"', '"sums_total"'))
    with pytest.raises(LedgerError, match="sums: recorded more than once: sums_total"):
        recorded(executed_chapters(Book(book)))


def test_a_name_is_recorded_once_in_the_book(tmp_path):
    book = mini_book.write(tmp_path, sums=mini_book.SUMS, more=mini_book.SUMS)
    mini_book.pretend_executed(book, "sums", sums_total=6)
    mini_book.pretend_executed(book, "more", sums_total=6)
    with pytest.raises(LedgerError, match="more: also recorded by sums: sums_total"):
        recorded(executed_chapters(Book(book)))
