"""A Sphinx extension: show the arguments of a layer's own `__init__`, not the `*args` of the `__new__` of Keras."""

import inspect


def setup(app):
    app.connect("autodoc-process-signature", _own_signature)
    return {"parallel_read_safe": True}


def _own_signature(app, what, name, documented, options, signature, return_annotation):
    return (str(inspect.signature(documented)), return_annotation) if what == "class" else None
