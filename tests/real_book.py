"""The book itself at the smoke profile: executed, judged and rendered once for all tests that look at it."""

import mini_book

PROFILE = "smoke"


def executed(tmp_path_factory):
    """Execute what has changed."""
    _command(tmp_path_factory, "run")


def built(tmp_path_factory):
    """Execute what has changed, judge, render; returns the folder of the site."""
    _command(tmp_path_factory, "book")
    return mini_book.ROOT / "_build" / PROFILE / "html"


def _command(tmp_path_factory, command):
    with mini_book.shared(tmp_path_factory, "real_book"):
        status, _, complaints = mini_book.repro(mini_book.ROOT, command, "--profile", PROFILE)
    assert status == 0, complaints
