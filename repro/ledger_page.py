"""The ledger in the book: a row for every claim, a count for every article, and at a chapter's end what it settles."""

from urllib.parse import quote

from repro.ledger import NOT_JUDGED, VERDICTS, quantity

OUTCOMES = {  # of a claim that is not the same as it is written
    "contradicts": "contradict the verdict written",
    "undecided": "are undecided, here or as written",
    NOT_JUDGED: "are not judged here, since a chapter did not run",
}


def anchor(name):
    """The anchor of the cell that recorded `name`."""
    return f"evidence-{name.replace('_', '-')}"


def ledger_notice(judged):
    """Markdown: how many claims did not come out as they are written."""
    count = {outcome: sum(claim["outcome"] == outcome for claim in judged) for outcome in OUTCOMES}
    told = [f"{count[outcome]} {words}" for outcome, words in OUTCOMES.items() if count[outcome]]
    if not told:
        return f"In this run all {len(judged)} claims came out with the verdict that was written down before it.\n"
    ids = ", ".join(f'<a href="#{claim["id"]}">{claim["id"]}</a>' for claim in judged if claim["outcome"] in OUTCOMES)
    return "\n".join([":::{warning}", f"Of {len(judged)} claims, {', '.join(told)}: {ids}.", ":::", ""])


def ledger_summary(judged, run):
    """Markdown: how many claims of each article got which verdict; each count links to those rows of the table."""
    verdicts = [verdict for verdict in (*VERDICTS, NOT_JUDGED) if any(c["computed"] == verdict for c in judged)]
    rows = [_cells(["Article", "Claims", *map(_badge, verdicts)]), _cells(["---"] * (2 + len(verdicts)))]
    for article in [*sorted({claim["source"] for claim in judged}), ""]:
        counts = [_count(judged, article, verdict) for verdict in ["", *verdicts]]
        rows.append(_cells([article or "all", *counts]))
    judged_at = (
        f"The chapters ran at the profile `{run['profile']}` from the seed {run['seed']}, "
        "and the verdicts follow from what they measured there."
    )
    return "\n".join([*rows, "", judged_at, ""])


def claims_settled(judged, chapter):
    """Markdown: the claims that a chapter settles, with verdict and reason; empty when it settles none."""
    settled = [claim for claim in judged if claim["chapter"].startswith(f"{chapter}#")]
    return "\n".join(["## Claims settled here", "", *told(settled, chapter)]) if settled else ""


def told(claims, page):
    """Lines of Markdown for a page: a list of claims with their verdicts and reasons, each linked to its row."""
    ledger = "../" * page.count("/") + "ledger.html"
    return [
        f'- <a href="{ledger}#{claim["id"]}">{claim["id"]}</a>: {claim["claim"]} {_verdict(claim)} {claim["because"]}'
        for claim in claims
    ]


def ledger_table(judged):
    """Markdown: a filterable table with a row per claim."""
    rows = [_row(["Claim", "Verdict", "Comes out again", "Because", "Evidence"])]
    rows += [
        _row([_claim(claim), _verdict(claim), _again(claim), _because(claim, judged), _evidence(claim)])
        for claim in judged
    ]
    options = [":header-rows: 1", ":widths: 22 17 12 25 24", ":class: ledger"]
    return "\n".join(["::::{list-table}", *options, "", *rows, "::::", ""])


def _cells(cells):
    return f"| {' | '.join(cells)} |"


def _count(judged, article, verdict):
    number = sum(article in ("", claim["source"]) and verdict in ("", claim["computed"]) for claim in judged)
    asked = f"?article={article}&verdict={quote(_words(verdict))}#the-claims"
    return f'<a href="{asked}">{number}</a>' if number else "0"


def _badge(verdict):
    return f'<span class="verdict {verdict}">{_words(verdict)}</span>'


def _words(verdict):
    return "not judged here" if verdict == NOT_JUDGED else verdict


def _verdict(claim):
    """The verdict that was found, and beside it the one written down where that is another."""
    if claim["outcome"] == "same":
        return _badge(claim["computed"])
    written = f'<span class="verdict written {claim["verdict"]}">{claim["verdict"]}</span>'
    return f"{_badge(claim['computed'])} <br>written: {written}"


def _again(claim):
    """How likely the verdict is to come out again, and in how many replications it did."""
    odds = "" if claim["odds"] is None else f"odds {claim['odds']:.2f}"
    kept = claim["replications"]
    held = f'<a href="replications.html">held in {kept["held"]} of {kept["of"]}</a>' if kept["of"] else ""
    return " <br>".join(filter(None, [odds, held])) or "—"


def _row(cells):
    first, *rest = (cell.replace("\n", " ").strip() for cell in cells)
    return "\n".join([f"* - {first}", *(f"  - {cell}" for cell in rest)])


def _claim(claim):
    return (
        f'<span id="{claim["id"]}" class="claim-id">{claim["id"]}</span> <span class="kind">{claim["kind"]}</span> '
        + claim["claim"]
    )


def _evidence(claim):
    page, label = claim["chapter"].split("#")
    section = f'<a href="{page}.html#{label}">section</a>'
    measured = [
        f'<a href="{item["chapter"]}.html#{anchor(item["name"])}">{_breakable(item["name"])}</a> = {quantity(item)}'
        for item in claim["evidence"]
    ]
    return "<br>".join([*measured, section])


def _because(claim, judged):
    cites = f" {{cite:p}}`{','.join(claim['cites'])}`" if "cites" in claim else ""
    pointing_here = [other["id"] for other in judged if claim["id"] in other.get("see", [])]
    related = sorted({*claim.get("see", []), *pointing_here})
    see = " ".join(f'<a href="#{other}">{other}</a>' for other in related)
    rule = f" <details><summary>The rule</summary>{claim['rule']}</details>" if "rule" in claim else ""
    return claim["because"] + cites + (f" See also {see}." if see else "") + rule


def _breakable(name):
    """A long name that may be broken after each underscore."""
    return name.replace("_", "_<wbr>")
