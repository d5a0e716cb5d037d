"""Reads named tensors from files of weights: safetensors, pickles, GGUF.

A reader first checks a file's header: sizes, places and types of all tensors. It reads numbers on demand, some rows at
a time, so a model is never in memory as a whole. It executes nothing.
"""

from models.convert.tensors.base import BadWeights, Tensor, Tensors

__all__ = ["BadWeights", "Tensor", "Tensors"]
