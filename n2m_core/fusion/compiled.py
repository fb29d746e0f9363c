"""Loops over pixels as machine code, by numba.

A window method looks at thousands of neighbours of every pixel and leaves most of them at the first
band that differs. Array operations must visit all of them in all bands; a compiled loop need not.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_log = logging.getLogger(__name__)
_lock = threading.RLock()
P = ParamSpec("P")
R = TypeVar("R")


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile a function when it is first called, some seconds; numba is imported only then.

    The code is kept beside the source file, or in the person's cache folder, for the next process.
    While it runs other threads run too.

    Args:
        kernel: loops over arrays and numbers alone.
    """
    machine_code: list[Callable[P, R]] = []

    @functools.wraps(kernel)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not machine_code:
            with _lock:
                machine_code[:] = machine_code or [_compile(kernel)]
        return machine_code[0](*args, **kwargs)

    return call


def _compile(kernel: Callable[P, R]) -> Callable[P, R]:
    """Hand a function to numba."""
    import numba

    try:
        found: Callable[P, R] = numba.njit(nogil=True, cache=True)(kernel)
    except RuntimeError:  # no folder can be written
        _log.info("%s is compiled for this process alone", kernel.__qualname__)
        found = numba.njit(nogil=True)(kernel)
    return found
