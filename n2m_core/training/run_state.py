"""The state that a run keeps in its folder, and whether another run may go on from it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from n2m_core.errors import ConfigError
from n2m_core.lineage import TrainingStage

STATE = "state.pt"

_log = logging.getLogger(__name__)


def goes_on(
    folder: Path,
    name: str,
    config_sha256: str,
    before: Sequence[TrainingStage] = (),
    *,
    renews: bool = False,
) -> bool:
    """Whether a run that is to go on finds a state of its own.

    Args:
        folder: of the run.
        name: of the run.
        config_sha256: `digest_of` the configurations that decide its weights.
        before: what the weights went through that it would start from today.
        renews: begin anew where any of that has changed since, instead of refusing another
            configuration and keeping to the start that the run once had.

    Raises:
        ConfigError: the state is of another run, or of another configuration of this one.
    """
    path = folder / STATE
    if not path.exists():
        _log.warning("nothing to resume in %s; starting at step 0", folder)
        return False
    noted = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if noted["id"] != name:
        raise ConfigError(
            f"{path} belongs to '{noted['id']}', not to '{name}'; use another run folder."
        )
    is_own = noted.get("config_sha256") == config_sha256
    if renews:
        was = tuple(TrainingStage.from_dict(stage) for stage in noted.get("before", ()))
        if is_own and was == tuple(before):
            return True
        _log.warning("%s is of another configuration or start; starting at step 0", path)
        return False
    if is_own:
        return True
    if "config_sha256" not in noted:
        raise ConfigError(
            f"{path} was saved before configurations were noted, so nobody knows which one it is "
            "of. Begin anew with --restart."
        )
    raise ConfigError(
        f"{path} was trained by another configuration of '{name}': its network, data, noise, loss "
        "or rate has changed since. Put the configuration back, or begin anew with --restart."
    )
