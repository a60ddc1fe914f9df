"""The ledger as it is shown."""

import re

from repro.ledger_page import anchor, claims_settled, ledger_notice, ledger_summary, ledger_table

EVIDENCE = {
    "name": "sums_mean",
    "value": 2.0,
    "unit": "s",
    "chapter": "sums",
    "interval": (1.0, 2.5),
    "samples": [1] * 9,
}
CLAIM = {
    "id": "001-mean",
    "source": "001",
    "claim": "Their mean\nis small.",
    "kind": "executable",
    "chapter": "more#sec-sum",
    "evidence": [EVIDENCE],
    "verdict": "refuted",
    "computed": "refuted",
    "outcome": "same",
    "odds": 0.876,
    "replications": {"held": 2, "of": 3},
    "because": "It is large.",
    "cites": ["a2014", "b2015"],
    "see": ["000-total", "002-other"],
}


def row(claim):
    _, text = ledger_table([claim]).split("\n* - ")[1:]
    return [cell.strip() for cell in text.removesuffix("::::\n").split("\n  - ")]


def test_a_row_holds_the_claim_its_evidence_and_its_verdict():
    claim, verdict, again, because, evidence = row(CLAIM)
    assert claim.startswith('<span id="001-mean" class="claim-id">001-mean</span>')
    assert "executable" in claim
    assert claim.endswith("Their mean is small.")
    assert '<a href="sums.html#evidence-sums-mean">sums_<wbr>mean</a> = 2 [1, 2.5] s, 9 seeds' in evidence
    assert evidence.endswith('<a href="more.html#sec-sum">section</a>')
    assert verdict == '<span class="verdict refuted">refuted</span>'
    assert again == 'odds 0.88 <br><a href="replications.html">held in 2 of 3</a>'
    assert because.startswith('It is large. {cite:p}`a2014,b2015` See also <a href="#000-total">000-total</a>')


def test_a_row_without_evidence_or_citation():
    bare = {key: value for key, value in CLAIM.items() if key not in ("cites", "see")} | {"evidence": []}
    bare |= {"odds": None, "replications": {"held": 0, "of": 0}}
    _, _, again, because, evidence = row(bare)
    assert again == "—"
    assert evidence == '<a href="more.html#sec-sum">section</a>'
    assert because == "It is large."


def test_quantities_are_written_for_people():
    shown = [
        row(CLAIM | {"evidence": [EVIDENCE | {"value": value, "interval": None, "unit": None, "samples": None}]})[4]
        .split("<br>")[0]
        .split(" = ")[1]
        for value in (1 / 3, 1234567, True, "cpu")
    ]
    assert shown == ["0.3333", "1234567", "True", "cpu"]


def test_related_claims_link_both_ways():
    other = CLAIM | {"id": "002-other", "see": []}
    text = ledger_table([CLAIM, other])
    assert '<a href="#002-other">' in text
    assert '<a href="#001-mean">' in text


def test_a_row_for_every_claim():
    assert ledger_table([CLAIM] * 3).count("\n* - ") == 4


def test_the_summary_counts_by_article_and_verdict():
    judged = [
        CLAIM,
        CLAIM | {"computed": "confirmed"},
        CLAIM | {"source": "002", "computed": "confirmed"},
        CLAIM | {"source": "002", "computed": "confirmed"},
    ]
    table, told = ledger_summary(judged, {"profile": "full", "seed": 3}).split("\n\n")
    texts = [[re.sub("<.*?>", "", cell).strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    assert texts[0] == ["Article", "Claims", "confirmed", "refuted"]
    assert texts[2:] == [["001", "2", "1", "1"], ["002", "2", "2", "0"], ["all", "4", "3", "1"]]
    assert '<a href="?article=002&verdict=confirmed#the-claims">2</a>' in table
    assert "`full` from the seed 3" in told


def test_a_chapter_lists_what_it_settles_with_the_computed_verdict():
    listed = claims_settled([CLAIM, CLAIM | {"id": "000-total", "chapter": "sums#sec-sum"}], "more")
    assert '<a href="ledger.html#001-mean">001-mean</a>: Their mean' in listed
    assert '<span class="verdict refuted">refuted</span> It is large.' in listed
    assert "000-total" not in listed
    assert claims_settled([CLAIM], "mor") == ""


def test_the_anchor_is_a_valid_id():
    assert anchor("sums_mean_low") == "evidence-sums-mean-low"


OTHERWISE = CLAIM | {"verdict": "inconclusive", "outcome": "undecided"}
NOT_JUDGED = CLAIM | {
    "id": "002-other",
    "computed": "not-judged",
    "outcome": "not-judged",
    "evidence": [],
    "odds": None,
}


def test_a_claim_that_came_out_otherwise_shows_both_verdicts():
    _, verdict, _, because, _ = row(OTHERWISE)
    assert verdict == (
        '<span class="verdict refuted">refuted</span> <br>'
        'written: <span class="verdict written inconclusive">inconclusive</span>'
    )
    assert because.startswith("It is large.")
    settled = claims_settled([OTHERWISE], "more")
    assert verdict in settled


def test_a_claim_that_is_not_judged_says_so():
    _, verdict, again, _, evidence = row(NOT_JUDGED)
    assert verdict.startswith('<span class="verdict not-judged">not judged here</span> <br>written: ')
    assert "odds" not in again
    assert evidence == '<a href="more.html#sec-sum">section</a>'
    summary = ledger_summary([NOT_JUDGED], {"profile": "book", "seed": 0})
    assert "not judged here" in summary
    assert '<a href="?article=001&verdict=not%20judged%20here#the-claims">1</a>' in summary


def test_the_notice_counts_what_did_not_come_out_as_written():
    assert ledger_notice([CLAIM] * 3).startswith("In this run all 3 claims")
    contradicting = CLAIM | {"id": "003-a", "outcome": "contradicts"}
    notice = ledger_notice([CLAIM, OTHERWISE, NOT_JUDGED, contradicting])
    assert ":::{warning}" in notice
    assert (
        "Of 4 claims, 1 contradict the verdict written, 1 are undecided, here or as written, 1 are not judged" in notice
    )
    assert re.findall(r'href="#(.*?)"', notice) == ["001-mean", "002-other", "003-a"]
