"""Training under `tf.distribute`: replicas of one process, workers in two, and a worker that is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
WORKERS = 2
TOLERANCE = 1e-5  # of weights and losses near 1 in float32, which are summed in another order

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def process(folder, *arguments, **environment):
    """A process of `distributed_worker`, which is killed in the end if it still runs."""
    environment |= {
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "book" / "_static"])),
        "PATH": os.defpath,
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, ROOT / "tests" / "distributed_worker.py", *arguments]
    log = folder / f"{time.monotonic_ns()}.log"
    with log.open("w") as stream:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=stream, stderr=stream)
    running.log = log
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@contextmanager
def cluster(folder, *arguments):
    """The workers of one run, which know of each other."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(WORKERS)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]
        for free in sockets:
            free.close()
        configs = [
            {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(WORKERS)
        ]
        yield [
            stack.enter_context(process(folder, "worker", folder, *arguments, TF_CONFIG=json.dumps(config)))
            for config in configs
        ]


def finish(processes):
    """Wait until all have ended well; the first that fails ends the wait."""
    while any(running.poll() is None for running in processes):
        assert not any(running.returncode for running in processes), logs(processes)
        time.sleep(0.05)
    assert not any(running.returncode for running in processes), logs(processes)


def logs(processes):
    return "\n".join(f"exit status {running.poll()}\n{running.log.read_text()[-4000:]}" for running in processes)


def results(folder, name):
    return np.load(folder / f"{name}.npz")


def distance(a, b):
    """How far the weights of two runs are apart at most, and their losses."""
    return max(np.abs(a["weights"] - b["weights"]).max(), np.abs(a["losses"] - b["losses"]).max())


def test_replicas_and_workers_train_like_one_process(tmp_path):
    with process(tmp_path, "machine", tmp_path) as machine, cluster(tmp_path, "worker", "unsharded", "fit") as workers:
        finish([machine, *workers])
    one, *others = (results(tmp_path, name) for name in ("one", "mirrored", "worker-0", "worker-1"))
    assert one["losses"][-1] < one["losses"][0] / 2
    for other in others:
        assert distance(one, other) < TOLERANCE
        assert other["runtime"] == one["runtime"] == "xla"
    assert distance(others[1], others[2]) == 0
    assert distance(results(tmp_path, "fit on one"), results(tmp_path, "fit")) < TOLERANCE
    assert not (tmp_path / "fit-0.npz").exists(), "fit works with several workers: tell it on the page"

    for mutant in ("scaled by the share", "unsharded-0"):
        assert distance(one, results(tmp_path, mutant)) > 1000 * TOLERANCE, mutant


def test_a_killed_worker_continues_from_the_last_backup(tmp_path):
    with cluster(tmp_path, "killed") as workers:
        assert workers[1].wait() == -signal.SIGKILL, logs(workers)
    epochs_done = json.loads((tmp_path / "backup of killed" / "training_metadata.json").read_text())["epoch"]
    assert epochs_done > 0

    with cluster(tmp_path, "resumed", "uninterrupted") as workers:
        finish(workers)
    for task in range(WORKERS):
        resumed, whole = (results(tmp_path, f"{run}-{task}") for run in ("resumed", "uninterrupted"))
        assert len(resumed["losses"]) == len(whole["losses"]) - epochs_done
        np.testing.assert_allclose(resumed["losses"], whole["losses"][epochs_done:], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(resumed["weights"], whole["weights"], rtol=0, atol=TOLERANCE)
