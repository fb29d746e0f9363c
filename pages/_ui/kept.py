"""What the server keeps to answer sooner, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import fields, is_dataclass

import numpy as np


class Kept:
    """Values by key, the least recently asked for dropped when they grow too large."""

    def __init__(self, keep_bytes: int) -> None:
        """Start empty."""
        self._kept: OrderedDict[str, object] = OrderedDict()
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()

    def get(self, key: str) -> object | None:
        """The value under a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, value: object) -> None:
        """Keep a value; the newest one always stays."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._bytes() > self._keep_bytes:
                self._kept.popitem(last=False)

    def _bytes(self) -> int:
        """Memory of all values' arrays; what they share counts once."""
        seen = set[int]()
        return sum(memory_bytes(value, seen) for value in self._kept.values())


def memory_bytes(value: object, seen: set[int] | None = None) -> int:
    """Memory of the arrays and texts inside a value: dataclasses, tuples, dictionaries of them.

    Args:
        value: a result, an image or the HTML of a map.
        seen: ids of arrays that were counted already; what is counted here is added.
    """
    known = set[int]() if seen is None else seen
    if isinstance(value, np.ndarray):
        if id(value) in known:
            return 0
        known.add(id(value))
        # One value for all pixels, as in the header of a scene, takes no memory.
        return value.itemsize if 0 in value.strides else value.nbytes
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (tuple, list)):
        return sum(memory_bytes(each, known) for each in value)
    if isinstance(value, dict):
        return sum(memory_bytes(each, known) for each in value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return sum(memory_bytes(getattr(value, field.name), known) for field in fields(value))
    return 0
