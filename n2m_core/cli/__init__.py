"""The `n2m` command: a thin front of `n2m_core.tasks` and `n2m_core.training`.

Heavy packages are imported inside the commands, so that `n2m --help` answers at once.
"""

from n2m_core.cli.program import app, main

__all__ = ["app", "main"]
