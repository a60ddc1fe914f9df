"""Ways to run the cell over a sequence, and which of them serves a call.

Each has `run`, with the signature of `portable.run`; `missing(cell, unroll)`, an option that it does not have; and
`obstacle(cell, call)`, what stands in its way here and now. Both say it as text, or None.
"""

from typing import Any, NamedTuple

from gru_tf.runtimes import cudnn, fused, portable

RUNTIMES = {"cudnn": cudnn, "xla": fused.XLA, "graph": fused.GRAPH, "portable": portable}  # in order of preference
FUSED = {name: RUNTIMES[name] for name in ("graph", "xla")}
EVERYWHERE = {**FUSED, "portable": portable}


class Call(NamedTuple):
    """What the runtimes look at: the runtime asked for, "auto" or a name, and what the layer hands over."""

    wanted: str
    unroll: bool
    sequences: Any
    state: Any
    training: bool


def choose(cell, call, use_cudnn):
    """The name of the first runtime that nothing stands in the way of, from the one asked for on."""
    names = list(RUNTIMES)
    names = names if call.wanted == "auto" else names[names.index(call.wanted) :]
    allowed = (name for name in names if name != "cudnn" or use_cudnn)
    return next(name for name in allowed if RUNTIMES[name].obstacle(cell, call) is None)


def wanted(cell, unroll, runtime, use_cudnn):
    """The runtime that a layer's arguments ask for, which has all that the layer's other options need."""
    if use_cudnn not in (True, False, "auto"):
        raise ValueError(f"use_cudnn={use_cudnn!r} is unknown: pass True, False or 'auto'.")
    if runtime not in ("auto", *RUNTIMES):
        raise ValueError(f"runtime={runtime!r} is unknown: pass 'auto' or one of {', '.join(map(repr, RUNTIMES))}.")
    if runtime != "auto" and (option := RUNTIMES[runtime].missing(cell, unroll)):
        raise ValueError(f"runtime={runtime!r} has no {option}: pass runtime='auto'.")
    if "auto" not in (runtime, use_cudnn) and use_cudnn != (runtime == "cudnn"):
        raise ValueError(f"use_cudnn={use_cudnn} contradicts runtime={runtime!r}: pass 'auto' for one.")
    if use_cudnn is not True:
        return runtime
    if option := cudnn.missing(cell, unroll) or (None if cell.use_bias else "use_bias=False"):
        raise ValueError(f"use_cudnn=True, but cuDNN has no {option}: pass use_cudnn='auto'.")
    return "cudnn"
