"""What one execution of the book found: where it ran, its numbers with their samples, and its verdicts."""

import json
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import jsonschema

from repro.chapters import BookError
from repro.kit.provenance import provenance
from repro.ledger import Evidence, recorded

SCHEMA_OF_CLAIMS = Path(__file__).parent / "judged.schema.json"
SCHEMA_OF_REPLICATION = Path(__file__).parent / "replication.schema.json"


@dataclass(frozen=True)
class Result:
    """One execution of the book.

    Attributes:
        run: profile, seed and provenance, as a dict.
        numbers: the recorded values, a dict of `Evidence` by name.
        verdicts: the verdict computed for each claim, by its id.
    """

    run: dict
    numbers: dict[str, Evidence]
    verdicts: dict[str, str]

    @classmethod
    def of(cls, book, executed, judged):
        """What the chapters of a book found; its provenance is that of the chapter executed last."""
        origins = [notebook.origin for _, notebook in executed if notebook] or [provenance()]
        run = {"profile": book.profile, "seed": book.seed} | max(origins, key=lambda origin: origin["date"])
        return cls(run, recorded(executed), {claim["id"]: claim["computed"] for claim in judged})

    @classmethod
    def read(cls, where):
        """Read a `claims.json` or a file of the register, from a path or an address.

        Raises:
            BookError: it cannot be read, or is not valid by its schema.
        """
        found = _load(where)
        claims = isinstance(found, dict) and "claims" in found
        schema = json.loads((SCHEMA_OF_CLAIMS if claims else SCHEMA_OF_REPLICATION).read_text(encoding="utf-8"))
        try:
            jsonschema.validate(found, schema)
        except jsonschema.ValidationError as error:
            place = "/".join(map(str, error.absolute_path))
            raise BookError(f"{where}: {place}: {error.message}; it is no claims.json and no replication") from error
        numbers = {name: Evidence(**{"unit": None, "name": name} | number) for name, number in found["numbers"].items()}
        verdicts = {c["id"]: c["computed"] for c in found["claims"]} if claims else found["verdicts"]
        return cls(found["run"], numbers, verdicts)

    def numbers_as_json(self):
        """The numbers by name, what they do not have left out."""
        return {
            name: {key: value for key, value in asdict(number).items() if key != "name" and value not in (None, False)}
            | {"value": number.value}
            for name, number in self.numbers.items()
        }

    def write(self, path):
        """Write a file of the register."""
        found = {"$schema": SCHEMA_OF_REPLICATION.name, "run": self.run, "verdicts": self.verdicts}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_lines(found | {"numbers": self.numbers_as_json()}), encoding="utf-8")


def _load(where):
    try:
        if "://" in str(where):
            with urllib.request.urlopen(str(where), timeout=60) as reply:
                return json.load(reply)
        return json.loads(Path(where).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BookError(f"{where} cannot be read: {error}; pass the address or the path of a claims.json") from error


def _lines(found):
    """JSON with a line for each number, so that files of many samples can be read and compared."""
    numbers = ",\n".join(f"{json.dumps(name)}: {json.dumps(number)}" for name, number in found["numbers"].items())
    rest = json.dumps({key: value for key, value in found.items() if key != "numbers"}, indent=1, ensure_ascii=False)
    return f'{rest[:-2]},\n "numbers": {{\n{numbers}\n}}\n}}\n'
