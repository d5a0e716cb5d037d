"""Hearth's own decode engine for CTranslate2 model folders: continuous batching, exact sampling of each row.

``engine`` is the engine contract over it, ``schedule`` decides who computes what in a step, ``support`` says which
models it can serve and why not the others, ``_core`` is the compiled part (sources in ``core/``).
"""
