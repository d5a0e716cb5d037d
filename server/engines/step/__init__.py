"""Hearth's own decode engine for CTranslate2 model folders: continuous batching, exact sampling of each row.

``engine`` implements the engine contract with it. ``schedule`` decides which rows compute how many tokens in a step.
``support`` says which models the engine can serve and why it cannot serve others. ``_core`` is the compiled part, whose
sources are in ``core/``.
"""
