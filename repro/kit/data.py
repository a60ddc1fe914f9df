"""Public data sets: downloaded once, verified by SHA-256 at every use, kept in a cache folder."""

import sys
import tarfile
import tempfile
import warnings
from pathlib import Path
from urllib.parse import urldefrag

with warnings.catch_warnings(action="ignore"):  # in a notebook tqdm misses a widget that nothing here uses
    import pooch

REGISTRY = Path(__file__).with_name("datasets.txt")
_used = {}


def fetch(name):
    """Return the path of a data set, downloading it unless the cache folder has it already.

    The folder is the environment variable `GRU_BOOK_DATA`, or the user's cache folder when that is unset.
    A file in it with the registered SHA-256 is used without network; any other file is replaced. Downloads
    are written beside the final name and moved onto it once verified, so that processes may fetch at once.

    Args:
        name: a file name registered in `repro/kit/datasets.txt`, such as "ETTh1.csv".

    Returns:
        The absolute `pathlib.Path` of the verified file.

    Raises:
        ValueError: `name` is not registered.
        OSError: the file cannot be downloaded, or what was downloaded has another SHA-256.
    """
    datasets = _datasets(name)
    # Off a terminal, pooch's messages would become output of the notebook's cell.
    pooch.get_logger().setLevel("INFO" if sys.stderr.isatty() else "WARNING")
    try:
        path = Path(datasets.fetch(name, downloader=_download))
    except Exception as error:
        raise OSError(
            f"{name} could not be fetched from {datasets.get_url(name)}: {error}\n"
            f"Check the network, or put the file (SHA-256 {datasets.registry[name]}, text in UTF-8) "
            f"into the folder {datasets.abspath}; the environment variable GRU_BOOK_DATA names another. "
            "The profiles smoke and book need no download."
        ) from error
    _used[name] = datasets.registry[name]
    return path


def digest(name):
    """Return the registered SHA-256 of a data set, 64 hex digits; an unknown `name` raises ValueError."""
    return _datasets(name).registry[name]


def used():
    """Return the SHA-256 of every data set that this process fetched, by name."""
    return dict(_used)


def _datasets(name):
    datasets = pooch.create(path=pooch.os_cache("gru-book"), base_url="", env="GRU_BOOK_DATA")
    datasets.load_registry(REGISTRY)
    if name not in datasets.registry:
        raise ValueError(f"name={name!r} is not registered; choose one of {', '.join(datasets.registry)}")
    return datasets


def _download(url, output_file, datasets):
    """Pooch's downloader: the file at `url`, or the member that its fragment names of the archive there."""
    http = pooch.HTTPDownloader(progressbar=sys.stderr.isatty())
    address, member = urldefrag(url)
    if not member:
        http(address, output_file, datasets)
        return
    with tempfile.TemporaryFile() as file:
        http(address, file, datasets)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            Path(output_file).write_bytes(_utf8(archive.extractfile(member).read()))


def _utf8(text):
    """Re-encode Windows-1252 text, the encoding inside Cornell's archive, and keep what is UTF-8 already.

    Copies of the sentence polarity data circulate in both; a digest and a chapter can only know one.
    """
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252").encode("utf-8")
    return text
