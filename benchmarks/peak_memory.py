"""Peak memory of one run of a contender, measured in a process of its own.

On a CPU it is the growth of the resident set: after two runs that trace, compile and fill caches, what is free goes
back to the system, Linux's mark of the highest resident set (VmHWM) is set back, and the mark after a third run is
compared with the resident set before it. That holds only where nobody keeps freed memory for the next run. So
TensorFlow uses the system's allocator there instead of its own pool, and the C library returns blocks of 64 KiB or more
when they are freed. On a GPU it is the growth of what the framework's allocator holds. Weights and input are there
before and do not count; results and everything between do.
"""

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

CLEAR_REFS = Path("/proc/self/clear_refs")
KEEP_NOTHING = {"MALLOC_MMAP_THRESHOLD_": str(2**16), "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "true"}


def in_own_process(case, name):
    """The peak in MiB of this contender's run of the case; None where it cannot be measured."""
    command = [sys.executable, __file__, json.dumps(asdict(case)), name]
    done = subprocess.run(command, env=os.environ | KEEP_NOTHING, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def resident_growth(run):
    """By how many bytes the resident set of this process grows at most during `run()`; None without Linux's /proc."""
    if not CLEAR_REFS.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR_REFS.write_text("5")
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)


def tensorflow_gpu_growth(run):
    import tensorflow as tf

    tf.config.experimental.reset_memory_stats("GPU:0")
    before = tf.config.experimental.get_memory_info("GPU:0")["current"]
    run()
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] - before


def torch_gpu_growth(run):
    import torch

    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def _status(field):
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def main():
    from contenders import CONTENDERS, GPUS, Case

    case, name = json.loads(sys.argv[1]), sys.argv[2]
    contender = CONTENDERS[name](Case(**case | {"shape": tuple(case["shape"])}))
    growth = resident_growth
    if GPUS:
        growth = torch_gpu_growth if name == "torch" else tensorflow_gpu_growth
    for _ in range(2):
        contender.run()
    peak = growth(contender.run)
    print(json.dumps(None if peak is None else round(peak / 2**20, 1)))


if __name__ == "__main__":
    main()
