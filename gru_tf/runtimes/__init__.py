"""Ways to run the cell over a sequence: one file each, all with the signature of `portable.run`."""

from gru_tf.runtimes import cudnn, graph, portable, xla

FUSED = {"graph": graph, "xla": xla}
EVERYWHERE = {**FUSED, "portable": portable}
RUNTIMES = {**EVERYWHERE, "cudnn": cudnn}
