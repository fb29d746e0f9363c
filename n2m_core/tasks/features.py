"""What a network holds at each depth, and where its attention looks, for one window and timestep.

One pass over a single window, with hooks on the network's own blocks. The features of a depth are
shown by their first three principal components (K. Pearson, "On Lines and Planes of Closest Fit to
Systems of Points in Space", 1901) as red, green and blue.

Self-attention (Vaswani et al., "Attention Is All You Need", NeurIPS 2017, Eq. 1) of the pixel i to
the pixel j of a block's grid: softmax over j of q_i k_j / sqrt(d), with q and k from the block's
own projections, averaged over its heads.

Where both dates of a pair go through one backbone side by side, features and attention are those of
the half that holds the later date at t = 0.

Symbols: x_t noisy input, float32 [C, H, W]; N = h w pixels of a block's grid; d channels of a head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from n2m_core.checkpoints import LoadedModel
from n2m_core.diffusion.library import Attention
from n2m_core.errors import CheckpointError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.models.noise2map import Noise2Map
from n2m_core.tasks.change import align_pair
from n2m_core.tasks.inference import NoiseField, mix_windows, prepare, process_for, step_for
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.params import MapParams

COMPONENTS = 3
STRETCH_PERCENT = (2.0, 98.0)
"""Percentiles of a component that become 0 and 1."""
MAX_CELLS = 4096
"""A block's attention is kept when its grid has at most so many pixels: 67 MB."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Depth:
    """The features after one block.

    Attributes:
        name: "stem", "down 1", ..., "middle", "up 1", ..., "output".
        stride: input pixels along the side of one feature pixel.
        channels: C of the features.
        picture: principal components one to three, float32 [3, h, w] in 0..1.
        explained: share of the features' variance in each of the three, in 0..1.
    """

    name: str
    stride: int
    channels: int
    picture: Floats
    explained: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class AttentionLayer:
    """One block's self-attention, averaged over its heads.

    Attributes:
        name: such as "down 5, block 1" or "middle".
        stride: input pixels along the side of one pixel of the block's grid.
        heads: number of heads.
        grid: rows and columns h, w of the block's grid.
        weights: float32 [h w, h w], row i from pixel i to all others; every row sums to one.
    """

    name: str
    stride: int
    heads: int
    grid: tuple[int, int]
    weights: Floats

    def cell(self, row: int, column: int) -> tuple[int, int]:
        """Give the pixel of the block's grid that holds a pixel of the window."""
        return (
            min(row // self.stride, self.grid[0] - 1),
            min(column // self.stride, self.grid[1] - 1),
        )

    def from_pixel(self, row: int, column: int) -> Floats:
        """Give the attention of a pixel of the window to the block's grid, float32 [h, w]."""
        at_row, at_column = self.cell(row, column)
        found: Floats = self.weights[at_row * self.grid[1] + at_column].reshape(self.grid)
        return found


@dataclass(frozen=True, eq=False)
class Probe:
    """What was seen inside a network.

    Attributes:
        timestep: the step that the network was told.
        is_mixed: whether x_t was mixed there, or the clean image given.
        pictures: the window as the network saw it, uint8 RGB [H, W, 3], one for each date.
        depths: in the order of the pass.
        layers: in the order of the pass; empty for a network without attention.
        left_out: names of the attention blocks whose grid is too large to keep.
    """

    timestep: int
    is_mixed: bool
    pictures: tuple[NDArray[np.uint8], ...]
    depths: tuple[Depth, ...]
    layers: tuple[AttentionLayer, ...]
    left_out: tuple[str, ...] = ()


def run(
    images: Sequence[GeoImage],
    model: LoadedModel,
    params: MapParams | None = None,
    progress: Progress | None = None,
) -> Probe:
    """Look into a network while it maps the middle window of an image or a pair.

    Args:
        images: the image, or (before, after).
        model: network and card.
        params: timestep, seed and resolution; thresholds and areas have no part in it.
        progress: told twice.

    Returns:
        Features and attention; the window is the middle of the image at the checkpoint's ground
        resolution, at most as large as the card's windows.

    Raises:
        CheckpointError: the checkpoint is for the other task, or of a network of another kind.
        BandError: an image lacks bands.
        GridError: no pixel with data, or too coarse or too fine an image.
    """
    params = params or MapParams()
    check_task(model.card, "segment" if len(images) == 1 else "change")
    if len(images) == 2:
        images = align_pair(images[0], images[1])
    if progress is not None:
        progress(0, 1, "one pass")
    prepared = prepare(images, model.card, resolution_m=params.resolution_m)
    window, offset = _middle(prepared.x0, model.card.window_px, model.model.multiple)
    place = (prepared.lattice.origin[0] + offset[0], prepared.lattice.origin[1] + offset[1])
    step, process = step_for(model.card, params.timestep), process_for(model.card, params)
    x_t = torch.from_numpy(window[None])
    if step.is_mixed:
        noise = NoiseField(params.seed, len(window))
        x_t = mix_windows(x_t, [place], step, process, noise)
    depths, layers, left_out = _look(model, x_t, step.timestep)
    if progress is not None:
        progress(1, 1, "done")
    is_mixed = step.is_mixed and process.kind != "none"
    pictures = _pictures(x_t[0].numpy(), len(model.card.bands))
    return Probe(step.timestep, is_mixed, pictures, depths, layers, left_out)


def principal_picture(features: Floats) -> tuple[Floats, tuple[float, float, float]]:
    """Show features by their first three principal components.

    A component's sign is free; it is chosen so that the channel with the largest weight in it has a
    positive one. Each component is stretched from its 2nd to its 98th percentile. A component
    without variance is 0.5 throughout.

    Args:
        features: float32 [C, h, w].

    Returns:
        float32 [3, h, w] in 0..1, and the share of the variance of each.
    """
    channels, height, width = features.shape
    flat = features.reshape(channels, -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    total = max(float(values.sum()), 0.0)
    picture = np.full((COMPONENTS, height, width), 0.5, np.float32)
    explained = [0.0] * COMPONENTS
    for index in range(min(COMPONENTS, channels)):
        value, vector = float(values[-1 - index]), vectors[:, -1 - index]
        if total <= 0 or value <= 1e-12 * total:
            continue
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        picture[index] = _stretched(vector @ flat).reshape(height, width)
        explained[index] = value / total
    return picture, (explained[0], explained[1], explained[2])


def attention_weights(block: Attention, hidden: Tensor) -> Tensor:
    """Compute softmax(Q K^T / sqrt(d)) from a block's own projections.

    Args:
        block: a self-attention block of a diffusers UNet2DModel.
        hidden: its input, float32 [B, C, h, w].

    Returns:
        float32 [B, heads, h w, h w]; every row sums to one.
    """
    module: Any = block  # diffusers carries no usable types
    flat = hidden.flatten(2)
    tokens = (flat if module.group_norm is None else module.group_norm(flat)).transpose(1, 2)
    query, key = (_by_head(part(tokens), module.heads) for part in (module.to_q, module.to_k))
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return torch.softmax(scores.float(), dim=-1)


def attention_blocks(network: Noise2Map) -> dict[str, Attention]:
    """Find a network's self-attention blocks by their names, in the order of the pass."""
    found = {
        _spoken(name): module
        for name, module in network.backbone.unet.named_modules()
        if isinstance(module, Attention)
    }
    order = {"down": 0, "middle": 1, "up": 2}
    return dict(sorted(found.items(), key=lambda item: (order[item[0].split()[0]], item[0])))


def depths_of(network: Noise2Map) -> dict[str, nn.Module]:
    """Name the blocks whose features are shown, in the order of the pass."""
    unet = network.backbone.unet
    named = {"stem": network.stem}
    named |= {f"down {index}": block for index, block in enumerate(unet.down_blocks, 1)}
    if unet.mid_block is not None:
        named["middle"] = unet.mid_block
    named |= {f"up {index}": block for index, block in enumerate(unet.up_blocks, 1)}
    return named | {"output": unet.conv_out}


def _look(
    model: LoadedModel, x_t: Tensor, timestep: int
) -> tuple[tuple[Depth, ...], tuple[AttentionLayer, ...], tuple[str, ...]]:
    """Run one pass and keep what the hooks see; of the later half where each has its own pass."""
    network = model.model
    if not isinstance(network, Noise2Map):
        raise CheckpointError(
            f"{model.card.title} is no Noise2Map network ({network.design}); features and "
            "attention are shown for Noise2Map alone."
        )
    side = x_t.shape[-2]
    depths: list[Depth] = []
    layers: list[AttentionLayer] = []
    left_out: list[str] = []

    def keep_features(name: str, output: Any) -> None:  # noqa: ANN401  a tensor, or a tuple of it
        features = output[0] if isinstance(output, tuple) else output
        held = features[-1].float().cpu().numpy()
        stride = max(1, round(side / held.shape[1]))
        depths.append(Depth(name, stride, len(held), *principal_picture(held)))

    def keep_attention(name: str, block: Attention, hidden: Tensor) -> None:
        height, width = int(hidden.shape[2]), int(hidden.shape[3])
        if height * width > MAX_CELLS:
            left_out.append(name)
            return
        weights = attention_weights(block, hidden)[-1]
        mean = weights.mean(dim=0).cpu().numpy()
        stride = max(1, round(side / height))
        layers.append(AttentionLayer(name, stride, len(weights), (height, width), mean))

    watched = [
        block.register_forward_hook(
            lambda _module, _args, output, name=name: keep_features(name, output)
        )
        for name, block in depths_of(network).items()
    ] + [
        block.register_forward_hook(
            lambda module, args, _output, name=name: keep_attention(name, module, args[0])
        )
        for name, block in attention_blocks(network).items()
    ]
    with removed_after(watched), torch.inference_mode():
        t = torch.tensor([timestep], dtype=torch.int64, device=model.device)
        network(x_t.to(model.device), t)
    return tuple(depths), tuple(layers), tuple(left_out)


@contextmanager
def removed_after(hooks: Sequence[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    """Take hooks off again, whatever happens; the network is shared."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _middle(x0: Floats, window_px: int, multiple: int) -> tuple[Floats, tuple[int, int]]:
    """Cut the middle window, sides in whole multiples; an input too small is mirrored.

    Returns:
        float32 [C, side, side'], and the row and column of its first pixel.
    """
    offset, sides = [], []
    for length in x0.shape[1:]:
        side = max(multiple, min(window_px, length) // multiple * multiple)
        offset.append(max(0, (length - side) // 2))
        sides.append(side)
    cut = x0[:, offset[0] : offset[0] + sides[0], offset[1] : offset[1] + sides[1]]
    missing = [(0, 0), (0, sides[0] - cut.shape[1]), (0, sides[1] - cut.shape[2])]
    padded = np.pad(cut, missing, mode="symmetric")
    return np.ascontiguousarray(padded), (offset[0], offset[1])


def _by_head(projected: Tensor, heads: int) -> Tensor:
    """Split channels into heads: [B, N, C] -> [B, heads, N, d]."""
    batch, count, channels = projected.shape
    return projected.view(batch, count, heads, channels // heads).transpose(1, 2)


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring the 2nd to 98th percentile to 0..1 and clip the rest."""
    low, high = np.percentile(values, STRETCH_PERCENT)
    if high <= low:
        low, high = values.min(), values.max()
    stretched: NDArray[np.float64] = np.clip((values - low) / (high - low), 0, 1)
    return stretched


def _pictures(x_t: Floats, bands: int) -> tuple[NDArray[np.uint8], ...]:
    """Show [-1, 1] as 0..255, each date on its own."""
    pictures = []
    for first in range(0, len(x_t), bands):
        chosen = x_t[first : first + 3] if bands >= 3 else x_t[first : first + 1]
        levels = np.clip(np.rint((chosen + 1) * 127.5), 0, 255).astype(np.uint8)
        pictures.append(np.moveaxis(np.repeat(levels, 3 // len(levels), axis=0), 0, -1).copy())
    return tuple(pictures)


def _spoken(name: str) -> str:
    """A module's name as a person reads it: "up_blocks.0.attentions.1" is "up 1, block 2"."""
    found = re.match(r"(down|up)_blocks\.(\d+)\.attentions\.(\d+)", name)
    if found is None:
        return "middle"
    return f"{found[1]} {int(found[2]) + 1}, block {int(found[3]) + 1}"
