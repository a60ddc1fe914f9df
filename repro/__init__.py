"""The reproducibility suite: chapters, executed notebooks, verdicts, pages.

A chapter needs the names below; the command line lives in `repro.__main__`.
"""

from repro import data
from repro.figure_style import use_figure_style
from repro.record import record
from repro.stamp import stamp

__all__ = ["data", "record", "stamp", "use_figure_style"]
