"""What is kept of finished work, within a number of bytes, and the settings that limit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from n2m_core.errors import ParameterError
from pages._ui import settings
from pages._ui.kept import Kept, memory_bytes


@dataclass
class Held:
    array: np.ndarray
    others: tuple[np.ndarray, ...]


def test_memory_counts_the_arrays_inside() -> None:
    held = Held(np.zeros(10, np.float32), (np.zeros(3, np.uint8), np.zeros(2, np.int64)))
    assert memory_bytes(held) == 40 + 3 + 16
    assert memory_bytes({"a": [held, "text"]}) == 63


def test_least_recently_asked_result_goes_first() -> None:
    kept = Kept(keep_bytes=250)
    for name in "ab":
        kept.put(name, np.zeros(100, np.uint8))
    assert kept.get("a") is not None
    kept.put("c", np.zeros(100, np.uint8))
    assert kept.get("b") is None
    assert kept.get("a") is not None
    assert kept.get("c") is not None


def test_newest_result_stays_however_large() -> None:
    kept = Kept(keep_bytes=10)
    kept.put("large", np.zeros(100, np.uint8))
    assert kept.get("large") is not None


def test_what_kept_share_is_counted_once() -> None:
    shared, own = np.zeros(1000, np.uint8), np.zeros(10, np.uint8)
    seen: set[int] = set()
    assert memory_bytes((shared, {"again": shared, "own": own}), seen) == 1010
    assert memory_bytes([shared, own.copy()], seen) == 10
    kept = Kept(keep_bytes=1500)
    for name in "abc":
        kept.put(name, (shared, own.copy()))
    assert kept.get("a") is not None


def test_settings_are_read_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N2M_KEEP_MB", " 20 ")
    monkeypatch.setenv("N2M_QUEUE", "")
    assert (settings.keep_bytes(), settings.queue()) == (20_000_000, 8)
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("N2M_WORKERS", wrong)
        with pytest.raises(ParameterError, match=f"N2M_WORKERS is '{wrong}'; give a whole number"):
            settings.workers()


def test_one_value_for_many_pixels_takes_no_memory() -> None:
    assert memory_bytes(np.broadcast_to(np.uint16(0), (1000, 1000))) == 2
