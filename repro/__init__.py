"""The reproducibility suite: chapters, executed notebooks, verdicts, pages.

A chapter needs the names below; the command line lives in `repro.__main__`.
"""

from repro import data
from repro.figure_style import use_figure_style
from repro.record import record
from repro.stamp import stamp
from repro.t_interval import t_interval

__all__ = ["data", "record", "stamp", "t_interval", "use_figure_style"]
