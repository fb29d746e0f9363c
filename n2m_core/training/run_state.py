"""The state that a run keeps in its folder, and whether another run may go on from it."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from n2m_core.errors import ConfigError

STATE = "state.pt"

_log = logging.getLogger(__name__)


def goes_on(folder: Path, name: str, config_sha256: str, *, renews: bool = False) -> bool:
    """Whether a run that is to go on finds a state of its own.

    Args:
        folder: of the run.
        name: of the run.
        config_sha256: `digest_of` the configurations that decide its weights.
        renews: begin anew where they have changed since, instead of refusing.

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
    if noted.get("config_sha256") == config_sha256:
        return True
    if renews:
        _log.warning("%s is of another configuration; starting at step 0", path)
        return False
    if "config_sha256" not in noted:
        raise ConfigError(
            f"{path} was saved before configurations were noted, so nobody knows which one it is "
            "of. Begin anew with --restart."
        )
    raise ConfigError(
        f"{path} was trained by another configuration of '{name}': its network, data, noise, loss "
        "or rate has changed since. Put the configuration back, or begin anew with --restart."
    )
