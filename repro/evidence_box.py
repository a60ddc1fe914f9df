"""A Sphinx extension: `evidence`, a box that tells what the ledger says of the claims named, in this build.

It serves the pages that measure nothing themselves:

    ```{evidence} 002-parity 000-cost
    Where it was measured.
    ```
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from repro.ledger_page import told


def setup(app):
    app.add_directive("evidence", EvidenceBox)
    return {"parallel_read_safe": True}


class EvidenceBox(SphinxDirective):
    """The ids of claims; and text, which says where they were measured."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        ledger = Path(self.env.srcdir) / "claims.json"
        claims = {claim["id"]: claim for claim in json.loads(ledger.read_text(encoding="utf-8"))["claims"]}
        ids = self.arguments[0].split()
        if unknown := [name for name in ids if name not in claims]:
            raise self.error(f"no claim in the ledger is called {', '.join(unknown)}")
        self.env.note_dependency(str(ledger))
        page = self.env.docname.removeprefix("book/")
        box = nodes.admonition("", nodes.title("", "Evidence"), classes=["evidence"])
        lines = [*self.content, "", *told([claims[name] for name in ids], page)]
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, box)
        return [box]
