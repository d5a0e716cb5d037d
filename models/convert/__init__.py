"""From a hub repository's files to a checked model folder.

    open_path(path)                a folder of a hub's files, or a GGUF            opened.py
    converter_for(source)          which function converts its architecture        table.py
    Converter                      (source, folder, request) -> Converted          contract.py
    convert(source, models_dir, …) the whole way, all or nothing                   make.py

The way of all: a source gives named tensors and facts (``tensors/``, ``gguf_names.py``), a family's page says what
they mean (``architectures/``), a writer streams them (``model_bin.py``), and checks hold the result to what needs no
original (``likeliness.py``, ``encoders.py``, ``translated.py``). Neither torch nor transformers takes part, but in the
comparison with an original for who asks for it (``--check original``).

A converter writes ``model.bin``, ``config.json``, the vocabulary and whatever files the model needs (tokenizer,
template, head) into the empty folder it is given, checks what it wrote, and returns what goes into ``model.toml``. It
never writes the manifest: `models.writing` does. Where a check fails, it raises `Mismatch` with the figure, and nothing
is left behind.

Imports nothing of the server: the engine that will serve a decoder comes as a callable in the `Request`.
"""

from models.convert.contract import (
    CannotConvert,
    Check,
    Converted,
    Converter,
    Mismatch,
    OpenProbe,
    Probe,
    Quantization,
    Request,
)
from models.convert.make import convert
from models.convert.opened import open_path
from models.convert.source import Source, read_source
from models.convert.table import converter_for

__all__ = [
    "CannotConvert",
    "Check",
    "Converted",
    "Converter",
    "Mismatch",
    "OpenProbe",
    "Probe",
    "Quantization",
    "Request",
    "Source",
    "convert",
    "converter_for",
    "open_path",
    "read_source",
]
