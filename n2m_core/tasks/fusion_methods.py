"""The fusion methods that a person can ask for, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.fusion.estarfm import Estarfm, EstarfmParams
from n2m_core.fusion.fsdaf import Fsdaf, FsdafParams
from n2m_core.fusion.inputs import FusionMethod
from n2m_core.fusion.installed import InstalledWeights, installed_weights
from n2m_core.fusion.naive import CoarseChange, Copy, MeanChange
from n2m_core.fusion.starfm import Starfm, StarfmParams
from n2m_core.fusion.windows import threads

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseParams

BandNames = tuple[str, ...]
GFLOP_PER_SECOND = 40.0
"""About what one core does in a network of this size, see docs/benchmarks.md."""
TILE_PX, TILE_OVERLAP, BANDS_AT_ONCE = 256, 1.5, 6
"""A network's cost is stated for tiles of this side; overlap adds about half; six bands a pass."""


@dataclass(frozen=True)
class Weights:
    """Which checkpoints a learned method can work with.

    Attributes:
        design: of the network, as in its configuration.
        usual: id of the one that is taken when the person names none.
        is_one_pass: whether the method leaves the diffusion out.
    """

    design: str
    usual: str
    is_one_pass: bool = False


@dataclass(frozen=True)
class MethodEntry:
    """A method of the registry.

    Attributes:
        title: what a person reads.
        text: one sentence about it.
        open: makes the method for a person's choices and images with bands of these names.
        is_naive: whether it only copies and adds.
        weights: what a learned method needs.
        cost: of a classical method with its own window, seconds of one core for a million pixels of
            one band; rough.
    """

    title: str
    text: str
    open: Callable[[FuseParams, BandNames], FusionMethod]
    is_naive: bool = False
    weights: Weights | None = None
    cost: float = 0.0


def _starfm(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Starfm() if window is None else Starfm(StarfmParams(window_px=window))


def _estarfm(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Estarfm() if window is None else Estarfm(EstarfmParams(window_px=window))


def _fsdaf(params: FuseParams, _names: BandNames) -> FusionMethod:
    window = params.window_px
    return Fsdaf() if window is None else Fsdaf(FsdafParams(reach_px=window // 2))


def _learned(params: FuseParams, names: BandNames) -> FusionMethod:
    """Open the weights that were asked for, which must be of the method's design."""
    from n2m_core.fusion.bands import names_if_known
    from n2m_core.fusion.learned import FusionParams, open_sastf

    wanted = METHODS[params.method].weights
    assert wanted is not None
    checkpoint = params.checkpoint or checkpoint_of(params.method) or wanted.usual
    choices = FusionParams(
        params.steps,
        params.eta,
        params.seed,
        is_one_pass=True if wanted.is_one_pass else None,
        bands=names_if_known(names),
    )
    method = open_sastf(checkpoint, choices)
    if method.name != wanted.design:
        raise CheckpointError(
            f"Checkpoint {checkpoint} is of the design {method.name}, and {params.method} needs "
            f"{wanted.design}; choose other weights or another method."
        )
    return method


METHODS: dict[str, MethodEntry] = {
    "sa-stf-one-pass": MethodEntry(
        "SA-STF without diffusion",
        "A network copies what stayed and transfers what changed, in one pass.",
        _learned,
        weights=Weights("sa-stf", "sastf-farmland", is_one_pass=True),
    ),
    "sa-stf": MethodEntry(
        "SA-STF",
        "The same network refines what it copied and transferred by diffusion, step by step.",
        _learned,
        weights=Weights("sa-stf", "sastf-farmland"),
    ),
    "stfdiff": MethodEntry(
        "Conditional diffusion",
        "A plain diffusion that sees all five images, in STFDiff's manner.",
        _learned,
        weights=Weights("stfdiff", "stfdiff-farmland"),
    ),
    "starfm": MethodEntry(
        "STARFM",
        "Adds the coarse change of similar neighbours, from both pairs.",
        _starfm,
        cost=5.0,
    ),
    "estarfm": MethodEntry(
        "ESTARFM",
        "Weighs similar neighbours from both pairs and learns how fine change follows coarse one.",
        _estarfm,
        cost=11.0,
    ),
    "fsdaf": MethodEntry(
        "FSDAF",
        "Unmixes the coarse change into classes and spreads what is left; uses date 0 alone.",
        _fsdaf,
        cost=18.0,
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
"""Every method: the learned ones, the classical ones with the quickest first, the naive ones."""


def weights_for(method: str) -> dict[str, InstalledWeights]:
    """Give the installed checkpoints that a method can work with, its usual one first."""
    wanted = METHODS[method].weights
    if wanted is None:
        return {}
    fitting = [
        each
        for each in installed_weights()
        if each.design == wanted.design and (each.has_one_pass or not wanted.is_one_pass)
    ]
    return {each.id: each for each in sorted(fitting, key=lambda each: each.id != wanted.usual)}


def checkpoint_of(method: str) -> str | None:
    """Give the checkpoint that a method takes when none is named; None without any."""
    return next(iter(weights_for(method)), None)


def ready_methods() -> dict[str, MethodEntry]:
    """Give the methods that can run here: a learned one only where weights are installed."""
    return {
        name: entry
        for name, entry in METHODS.items()
        if entry.weights is None or checkpoint_of(name) is not None
    }


def expected_seconds(method: str, pixels: int, bands: int, checkpoint: str | None = None) -> float:
    """Say roughly how long a method takes on this machine's free threads.

    Args:
        method: its name.
        pixels: of the fine image.
        bands: of it.
        checkpoint: weights of a learned method; its usual ones when None.

    Returns:
        Seconds, with the method's own window or number of steps; right to a factor of two or so.
    """
    entry = METHODS[method]
    if entry.weights is None:
        return entry.cost * pixels / 1e6 * bands / threads()
    found = weights_for(method)
    weights = found.get(checkpoint or "") or next(iter(found.values()), None)
    if weights is None:
        return 0.0
    tiles = max(1.0, TILE_OVERLAP * pixels / TILE_PX**2) * -(-bands // BANDS_AT_ONCE)
    gflop = tiles * weights.gflop(is_one_pass=entry.weights.is_one_pass)
    return gflop / GFLOP_PER_SECOND / threads()


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
