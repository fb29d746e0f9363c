"""The fusion methods that a person can ask for, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from n2m_core.errors import ParameterError
from n2m_core.fusion.estarfm import Estarfm, EstarfmParams
from n2m_core.fusion.fsdaf import Fsdaf, FsdafParams
from n2m_core.fusion.inputs import FusionMethod
from n2m_core.fusion.naive import CoarseChange, Copy, MeanChange
from n2m_core.fusion.starfm import Starfm, StarfmParams
from n2m_core.places import checkpoints_root

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseParams

BandNames = tuple[str, ...]
SASTF_WEIGHTS = "sastf-farmland"


@dataclass(frozen=True)
class MethodEntry:
    """A method of the registry.

    Attributes:
        title: what a person reads.
        text: one sentence about it.
        open: makes the method for a person's choices and images with bands of these names.
        is_naive: whether it only copies and adds.
        weights: checkpoint of a learned method, unless the person names another.
    """

    title: str
    text: str
    open: Callable[[FuseParams, BandNames], FusionMethod]
    is_naive: bool = False
    weights: str | None = None


def _starfm(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Starfm() if window is None else Starfm(StarfmParams(window_px=window))


def _estarfm(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Estarfm() if window is None else Estarfm(EstarfmParams(window_px=window))


def _fsdaf(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Fsdaf() if window is None else Fsdaf(FsdafParams(reach_px=window // 2))


def _sastf(params: FuseParams, names: BandNames) -> FusionMethod:
    from n2m_core.fusion.bands import names_if_known
    from n2m_core.fusion.learned import FusionParams, open_sastf

    choices = FusionParams(params.steps, params.eta, params.seed, bands=names_if_known(names))
    return open_sastf(params.checkpoint or SASTF_WEIGHTS, choices)


METHODS: dict[str, MethodEntry] = {
    "sa-stf": MethodEntry(
        "SA-STF",
        "A network copies what stayed, transfers what changed, and refines both by diffusion.",
        _sastf,
        weights=SASTF_WEIGHTS,
    ),
    "estarfm": MethodEntry(
        "ESTARFM",
        "Weighs similar neighbours from both pairs and learns how fine change follows coarse one.",
        _estarfm,
    ),
    "starfm": MethodEntry(
        "STARFM", "Adds the coarse change of similar neighbours, from both pairs.", _starfm
    ),
    "fsdaf": MethodEntry(
        "FSDAF",
        "Unmixes the coarse change into classes and spreads what is left; uses date 0 alone.",
        _fsdaf,
    ),
    "mean-change": MethodEntry(
        "Mean of both changes",
        "The coarse change added to each fine image, and the mean of the two.",
        lambda *_: MeanChange(),
        is_naive=True,
    ),
    "coarse-change": MethodEntry(
        "Copy and change",
        "The fine image of date 0 with the coarse change added.",
        lambda *_: CoarseChange(),
        is_naive=True,
    ),
    "copy": MethodEntry(
        "Copy", "The fine image of date 0 as it is.", lambda *_: Copy(), is_naive=True
    ),
}
"""Every method, the learned one first and the naive ones last."""


def ready_methods() -> dict[str, MethodEntry]:
    """Give the methods that can run here: a learned one only where its weights are installed."""
    root = checkpoints_root()
    return {
        name: entry
        for name, entry in METHODS.items()
        if entry.weights is None or (root / entry.weights).is_dir()
    }


def open_method(params: FuseParams, names: BandNames) -> FusionMethod:
    """Make the method that was asked for, for images with bands of these names.

    Raises:
        ParameterError: there is none of that name.
    """
    if params.method not in METHODS:
        raise ParameterError(
            f"There is no fusion method {params.method!r}; choose of {', '.join(METHODS)}."
        )
    return METHODS[params.method].open(params, names)
