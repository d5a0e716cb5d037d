"""From a hub repository's files to a checked model folder.

    read_source(folder)            what lies in a downloaded repository            source.py
    converter_for(source)          which function converts its architecture        table.py
    Converter                      (source, folder, request) -> Converted          contract.py
    convert(source, models_dir, …) the whole way, all or nothing                   make.py

A converter writes ``model.bin``, ``config.json``, the vocabulary and whatever files the model needs (tokenizer,
template, head) into the empty folder it is given, compares what it wrote with the original, and returns what goes
into ``model.toml``. It never writes the manifest: `models.writing` does. Where the converted model does not
compute what the original does, it raises `Mismatch` with the figure, and nothing is left behind.

Needs torch and transformers (the extra ``convert``), both loaded only inside converters. Imports nothing of the server:
the engine that will serve a decoder comes as a callable in the `Request`.
"""

from models.convert.contract import (
    CannotConvert,
    Converted,
    Converter,
    Mismatch,
    OpenProbe,
    Probe,
    Quantization,
    Request,
)
from models.convert.make import convert
from models.convert.source import Source, read_source
from models.convert.table import converter_for

__all__ = [
    "CannotConvert",
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
    "read_source",
]
