"""Execute chapters: each in a process of its own, several side by side, every worker with its share of the cores."""

import contextlib
import copy
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from repro.chapters import Book, BookError, Chapter
from repro.content_key import changed, content_key
from repro.executed import FRAME, Executed, executed_path, failure_path, stale_parts

FAILED = 1


def run(chapters):
    """Bring the executed notebook of each chapter up to date; return the names of those that failed."""
    stale = [chapter for chapter in chapters if stale_parts(chapter)]
    for chapter in chapters:
        if chapter not in stale:
            print(f"{chapter.name}: unchanged, executed notebook reused", flush=True)
        executed_path(chapter).parent.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = max(1, min(len(stale), cores))
    stdin, lifeline = os.pipe()  # the workers end with their standard input: when we close it or are killed
    threads = cores // workers
    with ThreadPoolExecutor(workers) as pool:
        try:
            # Long ones first: in the end no core waits for one of them.
            order = sorted(stale, key=lambda chapter: -chapter.time_limit)
            jobs = {pool.submit(_execute_in_worker, chapter, threads, stdin): chapter for chapter in order}
            results = {jobs[job].name: _report(jobs[job], *job.result()) for job in as_completed(jobs)}
        finally:  # on Ctrl-C, start no more of them
            pool.shutdown(wait=False, cancel_futures=True)
            os.close(lifeline)
    os.close(stdin)
    return [chapter.name for chapter in stale if not results[chapter.name]]


def _report(chapter, returncode, output, seconds):
    if returncode == 0:
        failure_path(chapter).unlink(missing_ok=True)
        print(f"{chapter.name}: executed in {seconds:.0f} s", flush=True)
    else:
        failed = {"key": content_key(chapter, []), "error": output.strip()}
        failure_path(chapter).write_text(json.dumps(failed), encoding="utf-8")
        print(f"\n{chapter.name}: FAILED after {seconds:.0f} s\n{output}", file=sys.stderr, flush=True)
    return returncode == 0


def _execute_in_worker(chapter, threads, stdin):
    print(f"{chapter.name}: executing with {threads} thread(s) …", flush=True)
    start = time.monotonic()
    book = chapter.book
    worker = subprocess.run(
        [sys.executable, "-m", "repro.execute", chapter.name, book.root, book.profile, str(book.seed), book.built.name],
        env=os.environ | _kernel_environment(chapter.root, threads),
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    return worker.returncode, worker.stdout, time.monotonic() - start


def _kernel_environment(root, threads):
    return {
        # Our own kernel specification: this environment's Python, and what C++ code writes to standard error
        # (TensorFlow's start-up lines) goes to the log instead of the page.
        "JUPYTER_PATH": str(Path(__file__).parent / "jupyter"),
        "IPYTHONDIR": str(root / "_build" / "ipython"),  # not the user's, whose start-up files would run
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONHASHSEED": "0",
        **dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"], str(threads)),
        "TF_NUM_INTEROP_THREADS": "1",
    }


def execute(chapter, terminal):
    """Execute one chapter in this process, its progress on `terminal`; write its notebook whole, or not at all."""
    target = executed_path(chapter)
    unfinished = target.with_suffix(f".{os.getpid()}.unfinished")
    start = time.monotonic()
    sources_before = content_key(chapter, [])
    with tempfile.TemporaryDirectory() as sockets, tempfile.TemporaryDirectory() as scratch:
        notebook = papermill.execute_notebook(
            chapter.notebook if chapter.has_parameters else framed(chapter),
            None,
            parameters=chapter.parameters,
            progress_bar={"desc": chapter.name, "leave": False, "disable": None, "file": terminal},
            cwd=chapter.root if chapter.has_parameters else scratch,  # recipes leave files behind
            # Of the TCP ports picked for a kernel, another kernel that starts just then may take one.
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),
        )
    executed = Executed(notebook)
    if executed.stamp is None:
        raise BookError("The last cell must be `repro.stamp(profile=PROFILE, seed=SEED)`.")
    key = content_key(Chapter(chapter.book, chapter.name), executed.used_data)
    if edited := changed(sources_before | {"data": key["data"]}, key):
        raise BookError(f"Changed while the chapter ran: {', '.join(edited)}. Run it again.")
    notebook.metadata["repro"] = {"key": key, "wall_time": time.monotonic() - start}
    nbformat.write(notebook, unfinished)
    os.replace(unfinished, target)


def framed(chapter):
    """The notebook of a lesson or a recipe between what it does not show: the look of its figures, and its stamp."""
    look = "import repro\n\nrepro.use_figure_style()"
    stamp = f'repro.stamp(profile="{chapter.book.profile}", seed="as in the code")'
    first, last = (nbformat.v4.new_code_cell(code, metadata={"tags": [FRAME]}) for code in (look, stamp))
    notebook = copy.copy(chapter.notebook)
    notebook.cells = [first, *notebook.cells, last]
    return notebook


@contextlib.contextmanager
def _kernel_messages_to(path):
    """Send what the kernel writes to standard error, TensorFlow's start-up lines above all, to a file."""
    with path.open("w") as log, os.fdopen(os.dup(2), "w") as terminal:
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            os.dup2(terminal.fileno(), 2)


def _end_in_time(time_limit):
    """End this worker and its kernel when the parent is gone or the time is over."""
    parent_gone, _, _ = select.select([sys.stdin], [], [], time_limit)
    if not parent_gone:
        print(f"It ran past its time limit of {time_limit} s; raise `time_limit` or make it smaller.", flush=True)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(FAILED)


def _worker(name, root, profile, seed, place):
    chapter = Chapter(Book(Path(root), profile, int(seed), place), name)
    try:
        threading.Thread(target=_end_in_time, args=[chapter.time_limit], daemon=True).start()
        with _kernel_messages_to(executed_path(chapter).with_suffix(".log")) as terminal:
            execute(chapter, terminal)
    except PapermillExecutionError as error:
        print(f"cell {error.cell_index} (In [{error.exec_count}]):\n\n{error.source}\n{error}")
    except BookError as error:
        print(error)
    except Exception:  # such as a kernel that died
        traceback.print_exc(file=sys.stdout)
    else:
        return 0
    return FAILED


if __name__ == "__main__":
    sys.exit(_worker(*sys.argv[1:]))
