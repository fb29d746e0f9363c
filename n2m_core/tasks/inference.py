"""From images to class probabilities on the images' own grid.

The road is the same for every task: choose bands, scale to [-1, 1], resample to the checkpoint's
ground resolution, mix x_t, predict in blended windows, bring the probabilities back.

Symbols: x0 clean input and x_t noisy input, float32 [C, h, w] on the lattice of `tasks.lattice`;
t timestep in 0..999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.diffusion.noise import NoiseProcess, make_schedule, position_noise
from n2m_core.errors import BandError, GridError
from n2m_core.geo_image import GeoImage, Mask, Progress
from n2m_core.normalize import bands_by_name, domain_distance, to_model_range
from n2m_core.tasks.lattice import FloatArray, Lattice, plan_lattice
from n2m_core.tasks.params import MapParams
from n2m_core.tiling import Predictor, predict_tiled

OVERLAP_PX = 64
"""Neighbouring windows share so much, or half a window where that is less."""
MARGIN_PX = 32
"""The image is continued by its mirror so far: what a network says at a window's edge, where its
convolutions meet zeros, then falls outside the image."""
BATCH = 16
UNUSUAL_SAMPLE_PX = 1_000_000
"""Pixels, about, from which it is told whether an image is unusual."""
NO_DATA = "The image has no pixel with data. Check the file, its nodata value or the alpha band."
NOISE_CACHE_VALUES = 8_000_000
"""Noise kept between the frames of a trajectory: 32 MB."""


@dataclass(frozen=True)
class Step:
    """What the network is given: a timestep and an input.

    Attributes:
        timestep: where x_t is mixed, 0..999.
        is_mixed: whether x_t is mixed there, or the clean image given.
        told: what the network is told, 0..999; None for `timestep`.
    """

    timestep: int
    is_mixed: bool
    told: int | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images ready for a network.

    Attributes:
        x0: clean input, float32 [C, h, w] in [-1, 1]; for a pair the channels are (before, after).
        lattice: the grid of `x0`, and the way back.
        valid: bool [H, W] on the image's grid.
        notes: what was done, a sentence each.
    """

    x0: FloatArray
    lattice: Lattice
    valid: Mask
    notes: tuple[str, ...]


@dataclass(eq=False)
class NoiseField:
    """One noise draw over the endless lattice, a pure function of seed and position.

    Attributes:
        seed: names the draw.
        bands: channels C.
    """

    seed: int
    bands: int
    _kept: dict[tuple[int, int, int, int], FloatArray] = field(default_factory=dict)

    def window(self, row: int, column: int, height: int, width: int) -> FloatArray:
        """Give the noise of one window, float32 [C, height, width]."""
        key = (row, column, height, width)
        if key in self._kept:
            return self._kept[key]
        noise = position_noise(self.seed, self.bands, height, width, row=row, col=column)
        if (len(self._kept) + 1) * noise.size <= NOISE_CACHE_VALUES:
            self._kept[key] = noise
        return noise


def step_for(card: CheckpointCard, timestep: int | None, told: int | None = None) -> Step:
    """Give the card's own step, or the one that a person asked for, where x_t is mixed."""
    if timestep is None:
        return Step(card.inference_timestep, card.mix_at_inference)
    return Step(timestep, True, told)


def process_for(card: CheckpointCard, params: MapParams) -> NoiseProcess:
    """Build the card's noise process, or the one that a person asked for."""
    return NoiseProcess(
        params.process or card.noise_process, make_schedule(params.schedule or card.schedule)
    )


def prepare(
    images: Sequence[GeoImage], card: CheckpointCard, *, resolution_m: float | None
) -> Prepared:
    """Bring one image, or a pair on one grid, to the network's range and resolution.

    Args:
        images: the image, or (before, after).
        card: says bands, normalisation and resolution.
        resolution_m: ground size of a pixel in place of the image's own, metres.

    Returns:
        The clean input on the lattice.

    Raises:
        BandError: the image lacks bands.
        GridError: no valid pixel, or a resolution too far from the card's.
    """
    chosen = [choose_bands(image, card) for image in images]
    valid = np.logical_and.reduce([image.valid for image in chosen])
    if not valid.any():
        raise GridError(NO_DATA)
    lattice = plan_lattice(chosen[0], card.resolution_m, taken_as_m=resolution_m)
    scaled = [to_model_range(image, card.normalization) for image in chosen]
    notes = [note for image in chosen for note in image.notes]
    notes += resolution_note(chosen[0], card, lattice, resolution_m)
    notes += unusual_notes(scaled, valid, card)
    clean = scaled[0] if len(scaled) == 1 else np.concatenate(scaled)
    clean[:, ~valid] = 0.0
    x0 = lattice.from_image(clean, valid)
    return Prepared(x0, lattice, valid, tuple(dict.fromkeys(notes)))


def choose_bands(image: GeoImage, card: CheckpointCard) -> GeoImage:
    """Take the bands that the checkpoint wants, with a note when that was a choice.

    Raises:
        BandError: two bands or more, but fewer than wanted.
    """
    wanted = len(card.bands)
    if image.bands == wanted:
        return image
    if image.bands == 1:
        pixels = np.repeat(image.pixels, wanted, axis=0)
        note = f"The image has one band; it was given to the network as {', '.join(card.bands)}."
        return image.with_pixels(pixels, card.bands).with_notes(note)
    if image.bands < wanted:
        raise BandError(
            f"The image has {image.bands} bands; checkpoint {card.id} needs {wanted} "
            f"({', '.join(card.bands)}). Choose {wanted} bands, the same one repeated if need be."
        )
    found = bands_by_name(image.band_names, card.bands)
    order = list(range(wanted)) if found is None else found
    how = "taken as" if found is None else "taken by their names as"
    note = (
        f"The image has {image.bands} bands; {_listed(order)} were {how} "
        f"{', '.join(card.bands)}. Choose bands if that is wrong."
    )
    names = tuple(image.band_names[index] for index in order)
    return image.with_pixels(image.pixels[order], names).with_notes(note)


def predict(
    prepared: Prepared,
    model: LoadedModel,
    step: Step,
    process: NoiseProcess,
    noise: NoiseField,
    progress: Progress | None = None,
) -> FloatArray:
    """Predict class probabilities on the image's own grid in one pass.

    Args:
        prepared: the clean input.
        model: the network.
        step: timestep and kind of input.
        process: mixes x_t.
        noise: the draw for gaussian noise.
        progress: told after every batch of windows.

    Returns:
        float32 [K, H, W], summing to one a pixel; 0 where there is no data.
    """
    row, column = prepared.lattice.origin
    windows = window_sides(model)
    sides = ((0, 0), (MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX))
    padded = predict_tiled(
        window_predictor(model, step, process, noise),
        np.pad(prepared.x0, sides, mode="reflect"),
        size=windows.size,
        overlap=windows.overlap,
        batch=BATCH,
        multiple=windows.multiple,
        origin=(row - MARGIN_PX, column - MARGIN_PX),
        progress=progress,
    )
    inside = padded[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    probabilities = prepared.lattice.to_image(np.ascontiguousarray(inside))
    probabilities[:, ~prepared.valid] = 0.0
    return probabilities


@dataclass(frozen=True)
class WindowSides:
    """Sides of the windows on the lattice, pixels; size and overlap are multiples of `multiple`."""

    size: int
    overlap: int
    multiple: int


def window_sides(model: LoadedModel) -> WindowSides:
    """Give the windows that a network is shown."""
    size, multiple = model.card.window_px, model.model.multiple
    return WindowSides(size, min(OVERLAP_PX, size // 2 // multiple * multiple), multiple)


def window_predictor(
    model: LoadedModel, step: Step, process: NoiseProcess, noise: NoiseField
) -> Predictor:
    """Give what `tiling` asks for: clean windows in, probabilities float32 [B, K, h, w] out."""

    def predict_windows(
        windows: NDArray[np.float32], positions: list[tuple[int, int]]
    ) -> NDArray[np.float32]:
        x0 = torch.from_numpy(windows)
        x_t = mix_windows(x0, positions, step, process, noise) if step.is_mixed else x0
        return _probabilities(model, x_t, step.timestep if step.told is None else step.told)

    return predict_windows


def mix_windows(
    x0: torch.Tensor,
    positions: list[tuple[int, int]],
    step: Step,
    process: NoiseProcess,
    noise: NoiseField,
) -> torch.Tensor:
    """Mix x_t of windows at one timestep.

    Args:
        x0: clean windows, float32 [B, C, h, w].
        positions: lattice (row, column) of each window's first pixel.
        step: its timestep is used.
        process: how noise enters.
        noise: the draw.

    Returns:
        x_t, float32 [B, C, h, w].
    """
    gaussian = x0
    if process.kind == "gaussian":
        height, width = x0.shape[2:]
        draws = [noise.window(row, column, height, width) for row, column in positions]
        gaussian = torch.from_numpy(np.stack(draws))
    t = torch.full((len(x0),), step.timestep, dtype=torch.int64)
    return process.mix(x0, t, process.noise_for(x0, gaussian))


def _probabilities(model: LoadedModel, x_t: torch.Tensor, timestep: int) -> NDArray[np.float32]:
    """Run the network on windows and give its softmax, float32 [B, K, h, w]."""
    device = model.device
    x_t = x_t.to(device, memory_format=torch.channels_last)
    t = torch.full((len(x_t),), timestep, dtype=torch.int64, device=device)
    is_gpu = device.type == "cuda"
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=is_gpu):
        logits = model.model(x_t, t)
    result: NDArray[np.float32] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    return result


def _listed(order: Sequence[int]) -> str:
    """Name bands as a person counts them."""
    return "bands " + ", ".join(str(index + 1) for index in order)


def unusual_notes(scaled: Sequence[FloatArray], valid: Mask, card: CheckpointCard) -> list[str]:
    """Warn of images far from those that the checkpoint was trained on."""
    step = max(1, round((valid.size / UNUSUAL_SAMPLE_PX) ** 0.5))
    warnings = []
    # Bands beyond those that were measured show a rough map, which has no look.
    measured = slice(len(card.image_statistics.mean))
    for name, image in zip(_names_of(scaled), scaled, strict=True):
        warning = domain_distance(
            image[measured, ::step, ::step], card.image_statistics, valid=valid[::step, ::step]
        ).warning
        if warning is not None:
            warnings.append(warning.replace("This image", name, 1))
    return warnings


def _names_of(images: Sequence[FloatArray]) -> tuple[str, ...]:
    """What a warning calls one image, or the images of a pair."""
    return ("This image",) if len(images) == 1 else ("The image before", "The image after")


def resolution_note(
    image: GeoImage, card: CheckpointCard, lattice: Lattice, taken_as_m: float | None
) -> tuple[str, ...]:
    """Say how the image's ground resolution was treated."""
    pixel_m = taken_as_m or image.resolution_m
    if pixel_m is None:
        return (
            f"The image's ground resolution is unknown and was taken as {card.resolution_m:g} m "
            "per pixel, what the checkpoint was trained for; state it if you know it.",
        )
    if lattice.is_identity:
        return ()
    return (
        f"The image has {pixel_m:.3g} m per pixel and was resampled to about "
        f"{card.resolution_m:g} m for the network; the map is on the image's own grid.",
    )
