"""The ledger as a table for the book: every claim with its verdict and its evidence, linked to the measuring cell."""


def anchor(name):
    """The anchor of the cell that recorded `name`."""
    return f"evidence-{name.replace('_', '-')}"


def ledger_table(judged):
    """Markdown: a filterable table with a row per claim."""
    rows = [_row(["Claim", "Says", "Evidence", "Verdict", "Because"])]
    rows += [
        _row([_claim(claim), claim["claim"], _evidence(claim), _verdict(claim), _because(claim)]) for claim in judged
    ]
    return "\n".join(["::::{list-table}", ":header-rows: 1", ":class: ledger full-width", "", *rows, "::::", ""])


def _row(cells):
    first, *rest = (cell.replace("\n", " ").strip() for cell in cells)
    return "\n".join([f"* - {first}", *(f"  - {cell}" for cell in rest)])


def _claim(claim):
    return f'<span id="{claim["id"]}" class="claim-id">{claim["id"]}</span> <span class="kind">{claim["kind"]}</span>'


def _evidence(claim):
    page, label = claim["chapter"].split("#")
    section = f'<a href="{page}.html#{label}">section</a>'
    measured = [
        f'<a href="{item["chapter"]}.html#{anchor(item["name"])}">{item["name"]}</a> = {_quantity(item)}'
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


def _because(claim):
    cites = f" {{cite:p}}`{','.join(claim['cites'])}`" if "cites" in claim else ""
    see = " ".join(f'<a href="#{other}">{other}</a>' for other in claim.get("see", []))
    return claim["because"] + cites + (f" See also {see}." if see else "")
