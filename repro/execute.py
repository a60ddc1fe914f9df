"""Execute chapters: each in a process of its own, several side by side, every worker with its share of the cores."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from repro.chapters import BookError, Chapter
from repro.content_key import changed, content_key
from repro.executed import Executed, executed_path

FAILED = 1


def run(chapters, profile):
    """Bring the executed notebook of each chapter up to date; return the names of those that failed."""
    stale = [chapter for chapter in chapters if stale_parts(chapter, profile)]
    for chapter in chapters:
        if chapter not in stale:
            print(f"{chapter.name}: unchanged, executed notebook reused", flush=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = max(1, min(len(stale), cores))
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_execute_in_worker, chapter, profile, cores // workers): chapter for chapter in stale}
        results = {jobs[job].name: _report(jobs[job], *job.result()) for job in as_completed(jobs)}
    return [chapter.name for chapter in stale if not results[chapter.name]]


def stale_parts(chapter, profile):
    """Why a chapter must be executed again: the changed parts of its content key; empty when it is up to date."""
    path = executed_path(chapter, profile)
    if not path.exists():
        return ["never executed"]
    executed = Executed.read(path)
    return changed(executed.key, content_key(chapter, profile, executed.used_data))


def _report(chapter, returncode, output, seconds):
    if returncode == 0:
        print(f"{chapter.name}: executed in {seconds:.0f} s", flush=True)
    else:
        print(f"\n{chapter.name}: FAILED after {seconds:.0f} s\n{output}", file=sys.stderr, flush=True)
    return returncode == 0


def _execute_in_worker(chapter, profile, threads):
    print(f"{chapter.name}: executing with {threads} thread(s) …", flush=True)
    start = time.monotonic()
    read_end, lifeline = os.pipe()  # the worker's standard input ends when we close it or are killed
    worker = subprocess.Popen(
        [sys.executable, "-m", "repro.execute", chapter.root, chapter.name, profile],
        env=os.environ | _kernel_environment(chapter.root, threads),
        stdin=read_end,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(read_end)
    try:
        output, _ = worker.communicate(timeout=chapter.time_limit)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        output = f"It ran past its time limit of {chapter.time_limit} s; raise `time_limit` or make it smaller."
    finally:
        os.close(lifeline)
    return worker.returncode, output, time.monotonic() - start


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


def execute(chapter, profile, terminal):
    """Execute one chapter in this process, its progress on `terminal`; write its notebook whole, or not at all."""
    target = executed_path(chapter, profile)
    unfinished = target.with_suffix(f".{os.getpid()}.unfinished")
    start = time.monotonic()
    sources_before = content_key(chapter, profile, [])
    notebook = papermill.execute_notebook(
        chapter.notebook,
        None,
        parameters=chapter.parameters(profile),
        progress_bar={"desc": chapter.name, "leave": False, "disable": None, "file": terminal},
        cwd=chapter.root,
    )
    executed = Executed(notebook)
    if executed.stamp is None:
        raise BookError("The last cell must be `repro.stamp(profile=PROFILE, seed=SEED)`.")
    key = content_key(Chapter(chapter.root, chapter.name), profile, executed.used_data)
    if edited := changed(sources_before | {"data": key["data"]}, key):
        raise BookError(f"Changed while the chapter ran: {', '.join(edited)}. Run it again.")
    notebook.metadata["repro"] = {"key": key, "wall_time": time.monotonic() - start}
    nbformat.write(notebook, unfinished)
    os.replace(unfinished, target)


@contextlib.contextmanager
def _kernel_messages_to(path):
    """Send what the kernel writes to standard error, TensorFlow's start-up lines above all, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as log, os.fdopen(os.dup(2), "w") as terminal:
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            os.dup2(terminal.fileno(), 2)


def _describe(error):
    traceback = "\n".join(error.traceback)
    return f"cell {error.cell_index} (In [{error.exec_count}])\n\n{error.source}\n\n{traceback}"


def _end_with_parent():
    sys.stdin.read()
    os._exit(FAILED)


def _worker(root, name, profile):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    chapter = Chapter(Path(root), name)
    try:
        with _kernel_messages_to(executed_path(chapter, profile).with_suffix(".log")) as terminal:
            execute(chapter, profile, terminal)
    except PapermillExecutionError as error:
        print(_describe(error))
        return FAILED
    except BookError as error:
        print(error)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(_worker(*sys.argv[1:]))
