"""Command line of the suite: `python -m repro --help`, in the book's folder."""

import argparse
import shutil
import signal
import sys
from pathlib import Path

from repro.chapters import PROFILES, Book, BookError
from repro.executed import executed_chapters, failure, stale_parts
from repro.ledger import disagreements, is_unlikely, judge, summary, unlikely
from repro.odds import LEAST


def main():
    arguments = _parser().parse_args()
    root = Path.cwd()
    try:
        if not (root / "_toc.yml").exists():
            raise BookError(f"{root} holds no `_toc.yml`; run this in the book's folder")
        return arguments.command(root, arguments)
    except BookError as error:
        print(f"repro: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrepro: interrupted; what was finished is kept", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser():
    parser = argparse.ArgumentParser(prog="python -m repro", description="Execute, judge and render the book.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, command, text, profile=True):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        if profile:
            sub.add_argument("--profile", choices=PROFILES, default="book", help="sizes of the runs (default: book)")
            sub.add_argument("--seed", type=_seed, default=0, help="what all chance is drawn from (default: 0)")
        return sub

    run = add("run", _run, "Execute the chapters whose content has changed.")
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="only these (default: all)")
    add("check", _check, "Judge the claims by the recorded values, and list those that may come out otherwise.")
    add("build", _build, "Render the site and swap it in.")
    book = add("book", _book, "Execute what has changed, judge, render: all that `make book` does.")
    book.add_argument(
        "--strict",
        action="store_true",
        help="publish nothing when a chapter failed, a verdict is contradicted or is not likely to come out again",
    )
    add("learn", _learn, "Execute lessons and recipes, render the book; labs that were not run show their text.")
    again = add("reproduce", _reproduce, "Execute the book from another seed, and compare.", profile=False)
    again.add_argument("where", nargs="?", metavar="ADDRESS", help="a claims.json (default: the newest replication)")
    seeds = again.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=_seed, help="the seed of this run (default: drawn)")
    seeds.add_argument("--same-seed", action="store_true", help="the seed of the reference")
    add("status", _status, "Say which chapters are up to date, and why not.")
    add("clean", _clean, "Remove everything that was built under this profile and seed.")
    return parser


def _seed(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; pass a whole number from 0 on")
    return int(text)


def _of(root, arguments):
    return Book(root, arguments.profile, arguments.seed)


def _run(root, arguments):
    from repro.execute import run

    failed = run(_of(root, arguments).chapters(arguments.chapters))
    if failed:
        print(f"repro: failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed) > 0


def _check(root, arguments):
    book = _of(root, arguments)
    return _report(judge(book.claims, executed_chapters(book)))


def _build(root, arguments):
    book = _of(root, arguments)
    executed = executed_chapters(book)
    return _publish(book, executed, judge(book.claims, executed))


def _book(root, arguments):
    from repro.execute import run

    book = _of(root, arguments)
    failed = run(book.chapters())
    executed = executed_chapters(book)
    judged = judge(book.claims, executed)
    faults = {
        "failed": failed,
        "contradicted": [claim["id"] for claim in judged if claim["outcome"] == "contradicts"],
        f"odds below {LEAST}": [claim["id"] for claim in judged if is_unlikely(claim)],
    }
    told = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
    if arguments.strict and told:
        _report(judged)
        raise BookError(f"{told}. The last good site is untouched.")
    _publish(book, executed, judged)
    if failed:
        raise BookError(f"failed: {', '.join(failed)}. Their pages say so and hold no numbers; the others are whole.")


def _learn(root, arguments):
    from repro.execute import run

    book = _of(root, arguments)
    failed = run([chapter for chapter in book.chapters() if not chapter.has_parameters])
    executed = executed_chapters(book, partly=True)
    _publish(book, executed, judge(book.claims, executed))
    if failed:
        raise BookError(f"failed: {', '.join(failed)}")


def _publish(book, executed, judged):
    from repro.site import build

    index = build(book, executed, judged)
    for chapter, notebook in executed:
        without = "no run" if failure(chapter) is None else "failed"
        print(f"{chapter.name:24} {f'{notebook.wall_time:6.0f} s' if notebook else without:>8}")
    print(index)
    _report(judged)


def _report(judged):
    """The last lines of a command: the claims that did not come out as written, those that may not, and the count."""
    for line in [*unlikely(judged), *disagreements(judged)]:
        print(line)
    print(f"{len(judged)} claims: {summary(judged)}")


def _reproduce(root, arguments):
    from repro.reproduce import lines, reproduce

    comparison, report, entry = reproduce(root, arguments.where, arguments.seed, arguments.same_seed)
    print("\n".join(lines(comparison)))
    print(f"\nAs a page: {report}, as JSON: {report.with_suffix('.json')}")
    if entry:
        print(f"For the register: {entry}; send it in with a pull request.")
    return len(comparison.contradicted) > 0


def _status(root, arguments):
    for chapter in _of(root, arguments).chapters():
        stale = stale_parts(chapter)
        print(f"{chapter.name:24} {'changed: ' + ', '.join(stale) if stale else 'up to date'}")


def _clean(root, arguments):
    shutil.rmtree(_of(root, arguments).built, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
