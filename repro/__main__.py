"""Command line: `python -m repro run [CHAPTER…] · check · build · status · clean`, in the book's folder."""

import argparse
import shutil
import signal
import sys
from pathlib import Path

from repro.chapters import PROFILES, BookError, chapters
from repro.executed import Executed, executed_path
from repro.ledger import judge, summary


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

    def add(name, command, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--profile", choices=PROFILES, default="book", help="sizes of the runs (default: book)")
        return sub

    run = add("run", _run, "Execute the chapters whose content has changed.")
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="only these (default: all)")
    add("check", _check, "Judge the claims by the recorded values.")
    add("build", _build, "Render the site and swap it in.")
    add("status", _status, "Say which chapters are up to date, and why not.")
    add("clean", _clean, "Remove everything that was built under this profile.")
    return parser


def _run(root, arguments):
    from repro.execute import run

    failed = run(chapters(root, arguments.chapters), arguments.profile)
    if failed:
        print(f"repro: failed: {', '.join(failed)}. Nothing of them is published.", file=sys.stderr)
    return len(failed) > 0


def _check(root, arguments):
    from repro.execute import require_executed

    book = chapters(root)
    require_executed(book, arguments.profile)
    judged = judge(root / "book" / "claims.yml", book, arguments.profile)
    print(f"{len(judged)} claims: {summary(judged)}")


def _build(root, arguments):
    from repro.site import build

    index, judged = build(root, arguments.profile)
    for chapter in chapters(root):
        seconds = Executed.read(executed_path(chapter, arguments.profile)).wall_time
        print(f"{chapter.name:24} {seconds:6.0f} s")
    print(f"{len(judged)} claims: {summary(judged)}\n{index}")


def _status(root, arguments):
    from repro.execute import stale_parts

    for chapter in chapters(root):
        stale = stale_parts(chapter, arguments.profile)
        print(f"{chapter.name:24} {'changed: ' + ', '.join(stale) if stale else 'up to date'}")


def _clean(root, arguments):
    shutil.rmtree(root / "_build" / arguments.profile, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
