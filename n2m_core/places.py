"""Where the product keeps its weights; without torch, so that asking costs nothing."""

from __future__ import annotations

import os
from pathlib import Path


def checkpoints_root() -> Path:
    """Folder of the checkpoints: $N2M_CHECKPOINTS, else `checkpoints/` beside the package."""
    named = os.environ.get("N2M_CHECKPOINTS")
    return Path(named) if named else Path(__file__).resolve().parent.parent / "checkpoints"
