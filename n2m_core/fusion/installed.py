"""Which fusion weights are installed, told from their folders without torch.

The app asks at every run of its page, long before anything is fused; `fusion.cards` reads the whole
card and loads the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from n2m_core.places import checkpoints_root

CARD, CONFIG = "card.json", "config.json"
"""As in `checkpoints` and `models.storing`, which bring torch along."""
TASK = "fuse"


@dataclass(frozen=True)
class InstalledWeights:
    """What can be said of weights without opening them.

    Attributes:
        id: of the checkpoint.
        title: what a person reads.
        design: "sa-stf" or "stfdiff".
        has_one_pass: whether they work without diffusion.
        is_one_pass: whether they do so where a person does not choose.
        steps: of the sampler, where a person asks for no number.
        gflop_once: 10^9 operations that a 256 px tile costs once.
        gflop_per_step: those of every step.
        sha256: of the weights.
    """

    id: str
    title: str
    design: str
    has_one_pass: bool
    is_one_pass: bool
    steps: int
    gflop_once: float
    gflop_per_step: float
    sha256: str

    def gflop(self, *, is_one_pass: bool) -> float:
        """Operations for a 256 px tile, in 10^9; a pass without diffusion costs about a step."""
        steps = 1 if is_one_pass or self.is_one_pass else self.steps
        return self.gflop_once + steps * self.gflop_per_step


def installed_weights(root: Path | None = None) -> tuple[InstalledWeights, ...]:
    """List the fusion checkpoints of a folder, sorted by id.

    What can't be read is left out here; who asks for it by name is told what is wrong with it.

    Args:
        root: folder of the checkpoints.
    """
    folder = checkpoints_root() if root is None else root
    paths = sorted(folder.glob(f"*/{CARD}"))
    found = (_read(path.parent, path.stat().st_mtime_ns) for path in paths)
    return tuple(each for each in found if each is not None)


@lru_cache(maxsize=64)
def _read(folder: Path, _stamp: int) -> InstalledWeights | None:
    """Read one folder, again when its card was written anew; None where it doesn't fuse."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["task"] != TASK:
            return None
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return InstalledWeights(
            id=folder.name,
            title=str(card["title"]),
            design=str(config["design"]),
            has_one_pass=bool(card["has_one_pass"]),
            is_one_pass=bool(card["is_one_pass"]),
            steps=int(card["steps"]),
            gflop_once=float(card["gflop_once"]),
            gflop_per_step=float(card["gflop_per_tile"]),
            sha256=str(card["sha256"]),
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None
