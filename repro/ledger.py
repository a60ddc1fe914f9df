"""The ledger: the claims of `book/claims.yml`, judged by the values that the executed chapters recorded."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jsonschema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from repro import check_language
from repro.chapters import BookError
from repro.check_language import CheckError
from repro.executed import Executed, executed_path

JUDGED_SCHEMA = Path(__file__).parent / "judged.schema.json"  # of what is published
SCHEMA = json.loads((Path(__file__).parent / "claims.schema.json").read_text(encoding="utf-8"))
VERDICTS = tuple(SCHEMA["items"]["properties"]["verdict"]["enum"])


class LedgerError(BookError):
    """`claims.yml` or the evidence for it is wrong; one line per mistake, each with file and line."""


@dataclass(frozen=True)
class Evidence:
    """A recorded value, where it was recorded, and its interval if it has one."""

    name: str
    value: float | int | bool | str
    unit: str | None
    chapter: str
    interval: tuple[float, float] | None


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


def recorded(chapters, profile):
    """All recorded values of the executed chapters, by name.

    Raises:
        LedgerError: a name was recorded twice.
    """
    found = {}
    for chapter in chapters:
        executed = Executed.read(executed_path(chapter, profile))
        values = {record["name"]: record for _, record in executed.records}
        if repeated := [name for name, n in Counter(r["name"] for _, r in executed.records).items() if n > 1]:
            raise LedgerError(f"{chapter.name}: recorded more than once: {', '.join(repeated)}")
        if shared := sorted(set(values) & set(found)):
            raise LedgerError(f"{chapter.name}: also recorded by {found[shared[0]].chapter}: {', '.join(shared)}")
        for name, record in values.items():
            bounds = [values.get(f"{name}_{end}") for end in ("low", "high")]
            interval = tuple(bound["value"] for bound in bounds) if all(bounds) else None
            found[name] = Evidence(name, record["value"], record["unit"], chapter.name, interval)
    return found


def judge(path, chapters, profile):
    """Recompute the verdict of every claim from what the chapters recorded under `profile`.

    A claim's `check` maps verdicts to expressions; the verdict is the one whose expression holds, and
    `inconclusive` when none does. Documentary and not testable claims keep the verdict that was written down.

    Returns:
        A list of dicts: the claim's fields, `evidence` as a list of dicts and `computed`, the verdict found.

    Raises:
        LedgerError: the claims, an expression or the evidence is wrong. `smoke` runs are too small to judge by;
            under any other profile a verdict that disagrees with the written one is an error as well.
    """
    claims = read_claims(path)
    known = recorded(chapters, profile)
    texts = {chapter.name: chapter.text for chapter in chapters}
    errors, judged = [], []
    for claim in claims:
        try:
            found = list(_mistakes(claim, known, texts))
            if not found:
                judged.append(_judge(claim, known))
                found = [] if profile == "smoke" else _disagreement(judged[-1])
        except CheckError as error:
            found = [str(error)]
        errors += [f"{_at(path, claim)}: {mistake}" for mistake in found]
    if errors:
        raise LedgerError("\n".join(errors))
    return judged


def summary(judged):
    """The verdicts in one line, such as `12 confirmed, 9 refuted`."""
    count = Counter(claim["computed"] for claim in judged)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS if count[verdict])


def _mistakes(claim, known, texts):
    chapter, label = claim["chapter"].split("#")
    if chapter not in texts:
        yield f"unknown chapter {chapter!r}; the chapters are {', '.join(sorted(texts))}"
    elif f"({label})=" not in texts[chapter]:
        yield f"{chapter!r} has no section labelled ({label})="
    for name in claim.get("evidence", []):
        if name not in known:
            yield f"evidence {name!r} was not recorded by any chapter"
    used = set()
    for expression in claim.get("check", {}).values():
        used |= check_language.names(expression)
    for name in sorted(set(claim.get("evidence", [])) - {_stem(name, known) for name in used} - used):
        yield f"evidence {name!r} is not used by the check"


def _stem(name, known):
    """The recorded value whose interval `name` bounds, or `name` itself."""
    stem = name.removesuffix("_low").removesuffix("_high")
    return stem if stem in known else name


def _judge(claim, known):
    evidence = [known[name] for name in claim.get("evidence", [])]
    values = {item.name: item.value for item in evidence}
    for item in evidence:
        if item.interval:
            values[f"{item.name}_low"], values[f"{item.name}_high"] = item.interval
    if "check" in claim:
        holding = [verdict for verdict, test in claim["check"].items() if check_language.evaluate(test, values)]
        if len(holding) > 1:
            raise CheckError(f"the checks for {' and '.join(holding)} both hold; at most one may")
        computed = holding[0] if holding else "inconclusive"
    else:
        computed = claim["verdict"]
    return json.loads(json.dumps(claim)) | {"evidence": [vars(item) for item in evidence], "computed": computed}


def _disagreement(claim):
    if claim["computed"] == claim["verdict"]:
        return []
    values = ", ".join(f"{item['name']} = {item['value']!r}{_bounds(item['interval'])}" for item in claim["evidence"])
    return [f"the verdict written is {claim['verdict']}, the numbers say {claim['computed']} ({values})"]


def _bounds(interval):
    return f" {list(interval)}" if interval else ""


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
