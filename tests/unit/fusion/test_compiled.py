"""Compiled loops: the same values, one compilation, also where nothing can be written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from n2m_core.fusion import compiled as module
from n2m_core.fusion.compiled import compiled


def _running_sum(values: NDArray[np.float64]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def test_threads_that_come_at_once_share_one_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    own = module._compile

    def counted(kernel: object) -> object:
        made.append(kernel)
        return own(kernel)

    monkeypatch.setattr(module, "_compile", counted)
    fast = compiled(_running_sum)
    values = np.linspace(0, 1, 100)
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda _: fast(values), range(8)))
    assert made == [_running_sum]
    assert sums == [pytest.approx(_running_sum(values))] * 8


def test_a_function_whose_code_can_not_be_kept_is_compiled_all_the_same() -> None:
    """It comes from no file, so there is no place beside it."""
    space: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x\n", space)
    assert compiled(space["double"])(3) == 6
