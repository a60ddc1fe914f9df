"""The reproducibility suite: chapters, executed notebooks, verdicts, pages.

A chapter needs the names below; the command line lives in `repro.__main__`.
"""

from repro.kit import data
from repro.kit.docstrings import docstrings, sentences
from repro.kit.figure_style import use_figure_style
from repro.kit.record import record, record_mean
from repro.kit.stamp import stamp
from repro.kit.statistics import gap, outcome, t_interval
from repro.kit.timing import interleaved
from repro.kit.training import FreshStart, gradients, seeds

__all__ = [
    "FreshStart",
    "data",
    "docstrings",
    "gap",
    "gradients",
    "interleaved",
    "outcome",
    "record",
    "record_mean",
    "seeds",
    "sentences",
    "stamp",
    "t_interval",
    "use_figure_style",
]
