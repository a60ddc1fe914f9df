"""The ledger as a table for the book: every claim with its verdict and its evidence, linked to the measuring cell."""


def anchor(name):
    """The anchor of the cell that recorded `name`."""
    return f"evidence-{name.replace('_', '-')}"


def ledger_table(judged):
    """Markdown: a filterable table with a row per claim."""
    rows = [_row(["Claim", "Verdict", "Because", "Evidence"])]
    rows += [_row([_claim(claim), _verdict(claim), _because(claim, judged), _evidence(claim)]) for claim in judged]
    options = [":header-rows: 1", ":widths: 28 14 30 28", ":class: ledger"]
    return "\n".join(["::::{list-table}", *options, "", *rows, "::::", ""])


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
        f'<a href="{item["chapter"]}.html#{anchor(item["name"])}">{_breakable(item["name"])}</a> = {_quantity(item)}'
        for item in claim["evidence"]
    ]
    return "<br>".join([*measured, section])


def _quantity(item):
    value = item["value"]
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if item["interval"]:
        text += " [{:.4g}, {:.4g}]".format(*item["interval"])
    return f"{text} {item['unit']}" if item["unit"] else text


def _verdict(claim):
    return f'<span class="verdict {claim["computed"]}">{claim["computed"]}</span>'


def _because(claim, judged):
    cites = f" {{cite:p}}`{','.join(claim['cites'])}`" if "cites" in claim else ""
    pointing_here = [other["id"] for other in judged if claim["id"] in other.get("see", [])]
    related = sorted({*claim.get("see", []), *pointing_here})
    see = " ".join(f'<a href="#{other}">{other}</a>' for other in related)
    return claim["because"] + cites + (f" See also {see}." if see else "")


def _breakable(name):
    """A long name that may be broken after each underscore."""
    return name.replace("_", "_<wbr>")
