"""Times that can be compared: all calls take turns."""

import time


def interleaved(calls, rounds, clock=time.perf_counter):
    """Time calls in turn, round after round, so that what else the machine does falls on all of them alike.

    Args:
        calls: a dict of functions without arguments, by name; each must wait for its own result.
        rounds: how often every call is timed after its first time, which traces and compiles.
        clock: seconds of the wall by default; `time.process_time` counts those of the processor.

    Returns:
        The seconds of the first calls as a dict, and those of the rounds as a `pandas.DataFrame`, a column for each
        call. Ratios within a row are what other machines may be compared with.
    """
    import pandas as pd  # slow to import

    def seconds(call):
        start = clock()
        call()
        return clock() - start

    first = {name: seconds(call) for name, call in calls.items()}
    return first, pd.DataFrame([{name: seconds(call) for name, call in calls.items()} for _ in range(rounds)])
