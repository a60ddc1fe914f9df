"""The ledger: the claims of `book/claims.yml`, judged by the values that the executed chapters recorded."""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import jsonschema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from repro import check_language
from repro.chapters import BookError
from repro.check_language import CheckError
from repro.odds import LEAST, odds, values_of, verdict

SCHEMA = json.loads((Path(__file__).parent / "claims.schema.json").read_text(encoding="utf-8"))
VERDICTS = tuple(SCHEMA["items"]["properties"]["verdict"]["enum"])
NOT_JUDGED = "not-judged"
FIELD = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")  # a value in a reason: {name} or {name:.2f}


class LedgerError(BookError):
    """`claims.yml` or the evidence for it is wrong; one line per mistake, each with file and line."""


@dataclass(frozen=True)
class Evidence:
    """A recorded value and where it was recorded; a mean over seeds with its interval and the values of the seeds."""

    name: str
    value: float | int | bool | str
    unit: str | None
    chapter: str
    interval: tuple[float, float] | None = None
    level: float | None = None
    samples: tuple[float, ...] | None = None
    log: bool = False  # mean and interval are of the logarithms


def read_claims(path):
    """The claims in `path` as a list of dicts that know their line numbers, valid by the schema.

    Raises:
        LedgerError: the file is no YAML, does not follow the schema, repeats an id or refers to an unknown one.
    """
    try:
        claims = YAML().load(path)
    except YAMLError as error:
        raise LedgerError(f"{path}: {error}") from error
    errors = [
        f"{path}:{_line(claims, error.absolute_path)}: {'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(claims)
    ]
    if not errors:
        count = Counter(claim["id"] for claim in claims)
        errors += [f"{_at(path, claim)}: this id is used twice" for claim in claims if count[claim["id"]] > 1]
        errors += [
            f"{_at(path, claim)}: `see` names the unknown claim {other!r}"
            for claim in claims
            for other in claim.get("see", [])
            if other not in count
        ]
    if errors:
        raise LedgerError("\n".join(errors))
    return claims


def recorded(executed):
    """All recorded values of the executed chapters, by name; the ends of intervals are not values of their own.

    Args:
        executed: a list of `(chapter, Executed)`, with None for a chapter that failed.

    Raises:
        LedgerError: a name was recorded twice.
    """
    found = {}
    for chapter, notebook in executed:
        records = [record for _, record in notebook.records] if notebook else []
        if repeated := [name for name, n in Counter(record["name"] for record in records).items() if n > 1]:
            raise LedgerError(f"{chapter.name}: recorded more than once: {', '.join(repeated)}")
        values = [Evidence(chapter=chapter.name, **record) for record in records if "bounds" not in record]
        if shared := [value.name for value in values if value.name in found]:
            raise LedgerError(f"{chapter.name}: also recorded by {found[shared[0]].chapter}: {', '.join(shared)}")
        found |= {value.name: value for value in values}
    return found


def judge(path, executed):
    """Recompute the verdict of every claim from what the chapters recorded.

    A claim's `check` maps verdicts to expressions; the verdict is the one whose expression holds, and
    `inconclusive` when none does. Documentary and not testable claims keep the verdict that was written down.

    Args:
        path: that of `claims.yml`.
        executed: a list of `(chapter, Executed)`, with None for a chapter that failed.

    Returns:
        A list of dicts: the claim's fields, `evidence` as a list of dicts and

        - `because`: the reason of the verdict found, with its numbers;
        - `computed`: the verdict found, or `not-judged` when a chapter did not run and evidence is missing;
        - `outcome`: `same` as the verdict written; `undecided` when one of the two is `inconclusive`; `contradicts`
          when both decide, and differently; or `not-judged`;
        - `odds`: how likely the verdict found is to come out again (`repro.odds`); None for what is not measured.

    Raises:
        LedgerError: the claims, an expression or the evidence is wrong.
    """
    claims = read_claims(path)
    known = recorded(executed)
    texts = {chapter.name: chapter.text for chapter, _ in executed}
    complete = all(notebook for _, notebook in executed)
    errors, judged = [], []
    for claim in claims:
        try:
            missing = [name for name in claim.get("evidence", []) if name not in known]
            found = list(_mistakes(claim, known, texts, missing if complete else []))
            if not found:
                judged.append(_not_judged(claim) if missing else _judge(claim, known))
        except CheckError as error:
            found = [str(error)]
        errors += [f"{_at(path, claim)}: {mistake}" for mistake in found]
    if errors:
        raise LedgerError("\n".join(errors))
    return judged


def summary(judged):
    """The verdicts in one line, such as `12 confirmed, 9 refuted`."""
    count = Counter(claim["computed"] for claim in judged)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in (*VERDICTS, NOT_JUDGED) if count[verdict])


def disagreements(judged):
    """A line for each claim that did not come out as it is written, with the numbers."""
    return [f"{claim['id']}: {_disagreement(claim)}" for claim in judged if claim["outcome"] != "same"]


def unlikely(judged):
    """A line for each claim whose verdict may well not come out again, with its odds and what they rest on."""
    return [
        f"{claim['id']}: {claim['computed']} comes out again with odds of {claim['odds']:.2f} ({_evidence(claim)})"
        for claim in judged
        if is_unlikely(claim)
    ]


def is_unlikely(claim):
    """Whether the verdict found comes out again less often than a replication should find it."""
    return claim["odds"] is not None and claim["odds"] < LEAST


def _mistakes(claim, known, texts, missing):
    chapter, label = claim["chapter"].split("#")
    if chapter not in texts:
        yield f"unknown chapter {chapter!r}; the chapters are {', '.join(sorted(texts))}"
    elif f"({label})=" not in texts[chapter]:
        yield f"{chapter!r} has no section labelled ({label})="
    for name in missing:
        yield f"evidence {name!r} was not recorded by any chapter"
    used = set()
    for expression in claim.get("check", {}).values():
        used |= check_language.names(expression)
    reasons = claim["because"] if isinstance(claim["because"], dict) else {}
    used |= {field[1] for text in reasons.values() for field in FIELD.finditer(text)}
    stems = {name.removesuffix("_low").removesuffix("_high") for name in used}
    for name in sorted(set(claim.get("evidence", [])) - stems - used):
        yield f"evidence {name!r} is used neither by the check nor by a reason"
    if "check" in claim:
        for verdict in (*claim["check"], "inconclusive"):
            if verdict not in reasons:
                yield f"`because` gives no reason for {verdict}"
        for verdict in set(reasons) - {*claim["check"], "inconclusive"}:
            yield f"`because` gives a reason for {verdict}, which the check never gives"


def _judge(claim, known):
    if "check" not in claim:
        return _plain(claim) | {"evidence": [], "computed": claim["verdict"], "outcome": "same", "odds": None}
    evidence = [known[name] for name in claim["evidence"]]
    values = values_of(evidence)
    computed = verdict(claim["check"], values)
    reasons = {verdict: _reason(verdict, text, values) for verdict, text in claim["because"].items()}
    return _plain(claim) | {
        "because": reasons[computed],
        "evidence": [asdict(item) for item in evidence],
        "computed": computed,
        "outcome": outcome(claim["verdict"], computed),
        "odds": odds(claim["check"], evidence),
    }


def _reason(verdict, text, values):
    """The reason of a verdict with the recorded values in place of their names."""
    try:
        written = FIELD.sub(lambda field: format(values[field[1]], field[2] or ""), text)
    except KeyError as error:
        raise CheckError(f"the reason for {verdict} names {error}, which is not among the claim's evidence") from error
    except ValueError as error:
        raise CheckError(f"the reason for {verdict} cannot be written: {error}") from error
    if "{" in written or "}" in written:
        raise CheckError(f"the reason for {verdict} has a brace too many: {written!r}")
    return written


def _not_judged(claim):
    why = "A chapter that measures it did not run to its end."
    not_judged = {"evidence": [], "computed": NOT_JUDGED, "outcome": NOT_JUDGED, "odds": None}
    return _plain(claim) | {"because": why} | not_judged


def _plain(claim):
    return json.loads(json.dumps(claim))


def outcome(written, computed):
    """How a verdict computed stands to the one written: `same`, `undecided`, `contradicts` or `not-judged`."""
    if NOT_JUDGED in (written, computed):
        return NOT_JUDGED
    if written == computed:
        return "same"
    return "undecided" if "inconclusive" in (written, computed) else "contradicts"


def _disagreement(claim):
    if claim["outcome"] == NOT_JUDGED:
        return f"not judged here, since a chapter did not run; the verdict written is {claim['verdict']}"
    written, computed = claim["verdict"], claim["computed"]
    return f"{claim['outcome']}: the verdict written is {written}, the numbers say {computed} ({_evidence(claim)})"


def _evidence(claim):
    return ", ".join(f"{item['name']} = {quantity(item)}" for item in claim["evidence"])


def quantity(item):
    """A claim's evidence for people: value, interval, unit, and how many seeds it is the mean of."""
    value, interval = item["value"], item["interval"]
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if interval:
        text += " [{:.4g}, {:.4g}]".format(*interval)
    if item["unit"]:
        text += f" {item['unit']}"
    return f"{text}, {len(item['samples'])} seeds" if item["samples"] else text


def _at(path, claim):
    return f"{path}:{claim.lc.line + 1}: {claim['id']}"


def _line(node, path):
    """The line, counted from 1, of the innermost part of `node` along `path` that knows its line."""
    line = 0
    for step in path:
        if not hasattr(node, "lc"):
            break
        line = node.lc.data[step][0] if step in (node.lc.data or {}) else node.lc.line
        node = node[step]
    return line + 1
