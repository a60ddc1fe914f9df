"""The look of the book's figures."""

STYLE = {
    "figure.figsize": (7.0, 3.4),
    "figure.constrained_layout.use": True,
    # Transparent, with black ink: in dark mode the site's style sheet inverts the drawing.
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "font.size": 10,
    # Equal figures are equal files, so that an unchanged chapter leaves an unchanged site.
    "svg.hashsalt": "gru-book",
}


def use_figure_style():
    """Draw the figures of this notebook as transparent SVG that reads in light and in dark mode."""
    import matplotlib as mpl  # slow to import, and the command line draws nothing
    import matplotlib_inline.backend_inline

    matplotlib_inline.backend_inline.set_matplotlib_formats("svg", metadata={"Date": None})
    mpl.rcParams.update(STYLE)
