"""Settings of all tests: quiet and single-threaded TensorFlow, Hypothesis profiles, fast tests first."""

import os
import sys

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # pytest-xdist gives each core a worker

settings.register_profile("local", deadline=None, max_examples=60)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; runs after the others")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def no_programs_of_other_tests(monkeypatch):
    """A process lets XLA compile so many programs for "auto"; no test depends on those before it."""
    if fused := sys.modules.get("gru_tf.runtimes.fused"):
        monkeypatch.setattr(fused.XLA, "_programs", 0)
