"""What is known of the weights that a training starts from: their card is to say it too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from n2m_core.checkpoints import checkpoint_ids, read_cards
from n2m_core.errors import CheckpointError
from n2m_core.lineage import TrainingStage, credits_from, merged
from n2m_core.models.storing import WEIGHTS
from n2m_core.places import checkpoints_root

PRETRAINING = "pretraining.json"
"""What `n2m pretrain` notes beside its weights."""


def stages_of(start: str | None) -> tuple[TrainingStage, ...]:
    """Give the trainings that weights went through, the first of them first.

    Args:
        start: id or folder of a checkpoint, a folder that `n2m pretrain` wrote, or weights of
            others: a file of the authors, a backbone from elsewhere.

    Returns:
        One stage a training; none of random weights, and of those of others, whose data nobody
        noted in this way.

    Raises:
        CheckpointError: the checkpoint's card, or the pretraining's notes, are damaged.
    """
    if start is None:
        return ()
    folder = Path(start)
    if (folder / PRETRAINING).is_file():
        return _pretrained(folder)
    name, root = (folder.name, folder.parent) if folder.is_dir() else (start, checkpoints_root())
    if name not in checkpoint_ids(root, is_fusion=False):
        return ()
    cards = read_cards(name, root=root)
    first = cards[0].training
    data = merged(*(card.training.data for card in cards))
    own = TrainingStage(name, first.config, first.steps, data, cards[0].sha256, first.config_sha256)
    return (*first.before, own)


def _pretrained(folder: Path) -> tuple[TrainingStage, ...]:
    """The stage of a pretrained network."""
    path = folder / PRETRAINING
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        data = credits_from(noted["data"])
        stage = TrainingStage(
            noted["id"],
            noted["config"],
            noted["steps"],
            data,
            sha256,
            noted.get("config_sha256"),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{path} is not what n2m pretrain writes ({e}).") from e
    return (stage,)
