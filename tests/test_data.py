"""`repro.data` against a server on this machine: no test leaves it."""

import contextlib
import hashlib
import io
import re
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from repro.kit import data

pytestmark = pytest.mark.timeout(60)

SERIES = b"date,OT\n" + b"2016-07-01 00:00:00,30.5\n" * 4000
SENTENCES = "a clich\u00e9 \u2014 but \u2018moving\u2019 . \n" * 50
READERS = 4


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def archive(member, content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `self.files` and lists in `self.requests` what was asked for."""

    daemon_threads = True

    def __init__(self):
        self.files = {
            "/series.csv": SERIES,
            "/windows.tar.gz": archive("folder/text.pos", SENTENCES.encode("cp1252")),
            "/unicode.tar.gz": archive("folder/text.pos", SENTENCES.encode("utf-8")),
        }
        self.requests = []
        self.missing_bytes = 0  # what is announced but not sent
        self.gate = contextlib.nullcontext  # called before a reply
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.gate()
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - self.server.missing_bytes])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(server, tmp_path, monkeypatch):
    """An empty cache folder, and a registry whose addresses are the server's."""
    address = f"http://127.0.0.1:{server.server_port}"
    text = sha256(SENTENCES.encode("utf-8"))
    registry = tmp_path / "datasets.txt"
    registry.write_text(
        f"series.csv {sha256(SERIES)} {address}/series.csv\n"
        f"windows.pos {text} {address}/windows.tar.gz#folder/text.pos\n"
        f"unicode.pos {text} {address}/unicode.tar.gz#folder/text.pos\n"
        f"nobody.pos {text} {address}/unicode.tar.gz#folder/nobody.pos\n"
    )
    monkeypatch.setattr(data, "REGISTRY", registry)
    monkeypatch.setattr(data, "_used", {})
    monkeypatch.setenv("GRU_BOOK_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_first_fetch_downloads_and_the_next_needs_no_server(server, folder):
    path = data.fetch("series.csv")
    assert path == folder / "series.csv"
    assert path.read_bytes() == SERIES
    server.shutdown()
    server.server_close()
    assert data.fetch("series.csv") == path
    assert server.requests == ["/series.csv"]


def test_file_put_into_a_read_only_folder_is_used(server, folder):
    folder.mkdir()
    (folder / "series.csv").write_bytes(SERIES)
    folder.chmod(0o555)
    assert data.fetch("series.csv").read_bytes() == SERIES
    assert server.requests == []


def test_folder_is_read_at_call_time(folder, tmp_path, monkeypatch):
    data.fetch("series.csv")
    monkeypatch.setenv("GRU_BOOK_DATA", str(tmp_path / "elsewhere"))
    assert data.fetch("series.csv") == tmp_path / "elsewhere" / "series.csv"


def test_default_folder_is_the_users_cache(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("GRU_BOOK_DATA")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    assert data.fetch("series.csv") == tmp_path / "gru-book" / "series.csv"


@pytest.mark.parametrize("damaged", [b"", SERIES[:-1], SERIES.replace(b"30.5", b"31.5", 1)])
def test_damaged_file_in_the_cache_is_fetched_again(server, folder, damaged):
    folder.mkdir()
    (folder / "series.csv").write_bytes(damaged)
    assert data.fetch("series.csv").read_bytes() == SERIES
    assert server.requests == ["/series.csv"]
    assert names(folder) == ["series.csv"]


@pytest.mark.parametrize("name", ["series.csv", "windows.pos"])
def test_truncated_download_leaves_nothing(server, folder, name):
    server.missing_bytes = 100
    with pytest.raises(OSError, match=name):
        data.fetch(name)
    assert names(folder) == []
    assert data.used() == {}


def test_failed_download_keeps_the_damaged_file_out_of_use(server, folder):
    folder.mkdir()
    (folder / "series.csv").write_bytes(SERIES[:-1])
    server.missing_bytes = 100
    with pytest.raises(OSError, match=r"series\.csv"):
        data.fetch("series.csv")
    assert data.used() == {}


@pytest.mark.parametrize(
    ("path", "name", "wrong"),
    [
        ("/series.csv", "series.csv", SERIES + b"\n"),
        ("/windows.tar.gz", "windows.pos", archive("folder/text.pos", b"another text\n")),
        ("/windows.tar.gz", "windows.pos", b"<html>not an archive</html>"),
    ],
)
def test_wrong_content_leaves_nothing(server, folder, path, name, wrong):
    server.files[path] = wrong
    with pytest.raises(OSError, match=rf"{name} could not be fetched from .*{path}"):
        data.fetch(name)
    assert names(folder) == []
    assert data.used() == {}


def test_wrong_digest_is_reported_with_both_digests(server, folder):
    server.files["/series.csv"] = b"other"
    with pytest.raises(OSError, match=sha256(SERIES)) as failure:
        data.fetch("series.csv")
    assert sha256(b"other") in str(failure.value)


def test_missing_page_and_missing_member_are_reported(server, folder):
    del server.files["/series.csv"]
    with pytest.raises(OSError, match=r"series\.csv could not be fetched.*404"):
        data.fetch("series.csv")
    with pytest.raises(OSError, match=r"nobody\.pos could not be fetched.*folder/nobody.pos"):
        data.fetch("nobody.pos")
    assert names(folder) == []


@pytest.mark.parametrize("name", ["windows.pos", "unicode.pos"])
def test_archive_member_is_stored_as_utf8(folder, name):
    assert data.fetch(name).read_text(encoding="utf-8") == SENTENCES
    assert names(folder) == [name]


def test_without_network_the_error_says_what_to_do(server, folder):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"series\.csv could not be fetched") as failure:
        data.fetch("series.csv")
    address = f"http://127.0.0.1:{server.server_port}/series.csv"
    for part in (
        "series.csv",
        address,
        sha256(SERIES),
        str(folder),
        "GRU_BOOK_DATA",
        "smoke and book need no download",
    ):
        assert part in str(failure.value)


def test_readers_at_once_all_get_the_whole_file(server, folder):
    server.gate = threading.Barrier(READERS, timeout=10).wait  # every download is open before one may finish
    with ThreadPoolExecutor(READERS) as readers:
        paths = list(readers.map(data.fetch, ["series.csv"] * READERS))
    assert server.requests == ["/series.csv"] * READERS
    assert {path.read_bytes() for path in paths} == {SERIES}
    assert names(folder) == ["series.csv"]


@pytest.mark.parametrize("lookup", [data.fetch, data.digest])
def test_unknown_name_lists_the_known_ones(folder, lookup):
    with pytest.raises(ValueError, match=r"ETTh3\.csv.*series\.csv, windows\.pos, unicode\.pos, nobody\.pos"):
        lookup("ETTh3.csv")


def test_used_lists_what_was_fetched(folder):
    assert data.used() == {}
    data.fetch("series.csv")
    data.used().clear()
    assert data.used() == {"series.csv": sha256(SERIES)} == {"series.csv": data.digest("series.csv")}


def test_download_is_silent_in_a_notebook(folder, caplog, capsys):
    pooch.get_logger().addHandler(caplog.handler)
    try:
        data.fetch("series.csv")
    finally:
        pooch.get_logger().removeHandler(caplog.handler)
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["series.csv", "windows.pos"])
def test_download_shows_its_progress_on_a_terminal(folder, monkeypatch, name):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    data.fetch(name)
    assert "100%" in terminal.getvalue()


def test_shipped_registry_is_well_formed():
    lines = data.REGISTRY.read_text(encoding="utf-8").splitlines()
    entries = [line.split(" ") for line in lines if line and line[0] != "#"]
    for name, sha, address in entries:
        assert re.fullmatch(r"[\w.-]+", name)
        assert re.fullmatch(r"[0-9a-f]{64}", sha)
        assert re.fullmatch(rf"https://[\w.-]+/\S*{re.escape(name)}", address)
        assert data.digest(name) == sha
    assert len({name for name, _, _ in entries}) == len({sha for _, sha, _ in entries}) == len(entries) > 0
