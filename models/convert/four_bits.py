"""Rounds matrices to four bits: groups of 32 inputs with a scale, found by a search that weighs inputs.

A weight is one of sixteen uneven steps, times the group's whole number from -127 to 127, times the row's scale. The
steps are finer around zero, where most weights are. The decode engine reads this form (`kernels.h` of its core); no
other engine does.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.convert.contract import CannotConvert
from models.convert.tensors.base import Bytes, Floats

GROUP = 32
STEPS = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
_TRIED = np.linspace(0.72, 1.2, 9, dtype=np.float32)
"""The places of a group's largest weight that the search tries, in units of either end of the steps."""
_MOST_SCALE = 127
_LEAST = 0.01
"""The importance, in units of the mean, that is added to each: few texts are measured, and other texts reach others."""
_NEAREST = np.abs(np.arange(-128, 128, dtype=np.float32)[:, None] - STEPS).argmin(1).astype(np.uint8)
"""The nearest step's place for each whole number from -128."""
_NEAREST_STEP = STEPS[_NEAREST]


@dataclass(frozen=True, slots=True)
class FourBits:
    """Rows in four bits."""

    halves: npt.NDArray[np.uint8]
    """(rows, groups, 16): the low half of byte i is the step of input i of the group, the high half of input i + 16."""
    group_scales: Bytes
    """(rows, groups)."""
    scale: Floats
    """(rows): as in int8, weights are divided by it."""

    def floats(self, inputs: int) -> Floats:
        """The rows as numbers."""
        steps = STEPS[np.concatenate([self.halves & 15, self.halves >> 4], axis=2)]
        rows = steps * (self.group_scales / self.scale[:, None])[:, :, None]
        return np.asarray(rows.reshape(len(rows), -1)[:, :inputs], np.float32)


def groups_of(inputs: int) -> int:
    """The number of groups in a row; the last may have fewer inputs."""
    return -(-inputs // GROUP)


def four_bits(rows: Floats, importance: Floats) -> FourBits:
    """Rows in four bits.

    Args:
        rows: some rows of a matrix.
        importance: the mean square of each input. An error of a weight counts by what it does to the output.

    Raises:
        CannotConvert: a value is infinite or NaN.
    """
    if not np.isfinite(rows).all():
        raise CannotConvert("The weights hold numbers that are infinite, or none.")
    count, inputs = rows.shape
    groups = groups_of(inputs)
    padding = ((0, 0), (0, groups * GROUP - inputs))
    grouped = np.pad(rows, padding).reshape(count, groups, GROUP)
    # Dividing by the largest weight keeps squares of tiny and huge weights within single precision.
    largest = np.abs(grouped).max((1, 2), initial=0)
    largest[largest == 0] = 1
    grouped /= largest[:, None, None]
    # Where inputs are as important, large weights count more: their errors meet inputs that were not measured.
    weights = np.sqrt(2 * np.square(grouped).mean((1, 2), keepdims=True) + np.square(grouped))
    weights *= np.pad(importance / (importance.mean() or 1) + _LEAST, padding[1]).reshape(groups, GROUP)
    scales = _searched(grouped, weights)
    unit = np.abs(scales).max(1) / _MOST_SCALE
    unit[unit == 0] = 1
    unit = np.maximum(unit, 1 / (np.finfo(np.float32).max * largest.astype(np.float64))).astype(np.float32)
    whole = np.rint(scales / unit[:, None])
    places = _NEAREST[_numbers(grouped, whole * unit[:, None])]
    halves = places[:, :, : GROUP // 2] | places[:, :, GROUP // 2 :] << np.uint8(4)
    # In double precision, and no larger than a float: the product is tiny for tiny rows.
    scale = np.minimum(1 / (unit.astype(np.float64) * largest), np.finfo(np.float32).max)
    return FourBits(halves, whole.astype(np.int8), scale.astype(np.float32))


def _numbers(grouped: Floats, scales: Floats) -> npt.NDArray[np.uint8]:
    """Each weight in units of its group's scale, rounded, from 0 for -128."""
    numbers = grouped * (1 / np.where(scales == 0, np.float32(1), scales))[:, :, None]
    np.rint(numbers, out=numbers)
    np.clip(numbers, -128, 127, out=numbers)
    numbers += 128
    return numbers.astype(np.uint8)


def _searched(grouped: Floats, weights: Floats) -> Floats:
    """The scale of each group: the best of some that place its largest weight at or near either end of the steps."""
    at = np.abs(grouped).argmax(2, keepdims=True)
    peak = np.take_along_axis(grouped, at, 2)[:, :, 0]
    weighted = weights * grouped
    best = np.zeros(peak.shape, np.float32)
    scales = np.zeros(peak.shape, np.float32)
    least = np.finfo(np.float32).tiny
    for end in (STEPS[0], STEPS[-1]):
        for place in _TRIED:
            steps = _NEAREST_STEP[_numbers(grouped, peak / (end * place))]
            above = np.einsum("rgi,rgi->rg", weighted, steps)
            below = np.maximum(np.einsum("rgi,rgi,rgi->rg", weights, steps, steps), least)
            gain = np.square(above) / below  # of the best scale for these steps
            better = gain > best
            best[better] = gain[better]
            scales[better] = (above / below)[better]
    return scales
