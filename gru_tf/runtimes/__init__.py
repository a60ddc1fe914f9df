"""Ways to run the cell over a sequence: one file each, all with the signature of `portable.run`."""

from gru_tf.runtimes import graph, portable, xla

FUSED = {"graph": graph, "xla": xla}
RUNTIMES = {**FUSED, "portable": portable}
