"""Hearth: a local inference server for small language models on CTranslate2."""
