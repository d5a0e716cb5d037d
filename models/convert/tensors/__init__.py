"""Named tensors out of the files that hold weights: safetensors, pickles, GGUF.

A reader checks a file's header before anything else: sizes, places and types of all tensors. Their numbers are read
when they are asked for, some rows at a time, so a model never lies in memory as a whole. Nothing is executed.
"""

from models.convert.tensors.base import BadWeights, Tensor, Tensors

__all__ = ["BadWeights", "Tensor", "Tensors"]
