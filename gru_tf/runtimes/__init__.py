"""Ways to run the cell over a sequence: one file each, all with the signature of `portable.run`."""
