"""The register of replications: a file for each execution of the book that was sent in, the book's own among them."""

import re

from repro.chapters import BookError
from repro.result import Result

FOLDER = "replications"


def register(root):
    """The replications of the book at `root`, oldest first: a dict of `Result` by the name of its file.

    Raises:
        BookError: a file is not valid.
    """
    found = {path.stem: Result.read(path) for path in sorted((root / FOLDER).glob("*.json"))}
    return dict(sorted(found.items(), key=lambda entry: (entry[1].run["date"], entry[0])))


def newest(root):
    """The path of the newest replication.

    Raises:
        BookError: there is none.
    """
    names = list(register(root))
    if not names:
        raise BookError(f"{root / FOLDER} holds no replication; pass the address or the path of a claims.json")
    return root / FOLDER / f"{names[-1]}.json"


def add(root, result):
    """Write a result into the register; returns the path, which tells when, where and from which seed."""
    run = result.run
    words = f"{run['date']}-{run['processor']}-python-{run['python']}-{run['profile']}-seed-{run['seed']}"
    stem = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")
    numbered = (root / FOLDER / f"{stem}{more}.json" for more in ["", *(f"-{i}" for i in range(2, 1000))])
    path = next(path for path in numbered if not path.exists())
    result.write(path)
    return path


def held(claim, replications):
    """In how many of the replications that judged a claim the verdict written came out, and how many those are."""
    verdicts = [result.verdicts[claim["id"]] for result in replications.values() if claim["id"] in result.verdicts]
    return {"held": verdicts.count(claim["verdict"]), "of": len(verdicts)}
