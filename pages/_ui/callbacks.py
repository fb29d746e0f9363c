"""Callbacks that come to their end.

Streamlit calls a widget's callback before it runs the page. When the next run is asked for at that
moment, by the person's next step or by a job that is done, it breaks the callback off at the next
look into the session's state, and never calls it again: a file that was dropped, a press, a verdict
would be lost. With `runner.fastReruns`, which is off here, nothing could be done about it: every
further look into the state would be refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from streamlit.runtime.scriptrunner import RerunException

_log = logging.getLogger(__name__)
P = ParamSpec("P")
MOST_TRIES = 10


def whole(callback: Callable[P, object]) -> Callable[P, None]:
    """Call a callback again when it was broken off; the run that was asked for follows it.

    Args:
        callback: may be called from its beginning again after any look into the session's state.
    """

    @wraps(callback)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        asked: RerunException | None = None
        for _ in range(MOST_TRIES):
            try:
                callback(*args, **kwargs)
                break
            except RerunException as error:
                # A run of the whole page shows what one of a part of it would.
                if asked is None or not error.rerun_data.fragment_id_queue:
                    asked = error
        else:
            _log.warning("%s was broken off %d times", callback, MOST_TRIES)
        if asked is not None:
            raise asked

    return called
