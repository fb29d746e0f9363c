"""The latent of a whole image, walked from noise to a class map in overlapping windows.

Symbols as in `models.idgbr`; the lattice is that of `tasks.lattice`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from n2m_core.checkpoints import LoadedModel
from n2m_core.diffusion.noise import position_noise
from n2m_core.diffusion.sampling import Seen, guided, sample
from n2m_core.geo_image import Progress
from n2m_core.models.guidance import Guidance, LevelGuidance, dropped, stacked
from n2m_core.models.idgbr import Refiner
from n2m_core.tasks.inference import Prepared
from n2m_core.tasks.lattice import FloatArray
from n2m_core.tiling import Predictor, predict_tiled

BATCH = 4
"""Windows denoised at once."""
GUIDANCE_BYTES = 1_000_000_000
"""Guidance kept between the steps; what goes beyond is computed anew at every step."""


def kept_steps(steps: int, frames: int) -> frozenset[int]:
    """Numbers of the steps (from 1) whose expectation is kept: evenly spaced, the last always."""
    if not frames:
        return frozenset()
    count = min(frames, steps)
    return frozenset(round(float(n)) for n in np.linspace(steps / count, steps, count))


class LatentField:
    """One image and its rough map, ready to be drawn from any noise.

    The lattice is continued by its mirror so that windows start on whole multiples of what the
    network takes, counted from the reference system's origin, as the noise is.
    """

    def __init__(
        self,
        prepared: Prepared,
        rough: FloatArray,
        model: LoadedModel,
        refiner: Refiner,
        guidance: float,
    ) -> None:
        """Lay image and rough map out.

        Args:
            prepared: the image on the lattice.
            rough: share of every class there, float32 [K, h, w].
            model: gives device and size of the windows.
            refiner: its network.
            guidance: weight of classifier-free guidance.
        """
        self._prepared, self._refiner, self._guidance = prepared, refiner, guidance
        self._device, self._factor = model.device, refiner.codec.factor
        multiple = refiner.multiple
        height, width = prepared.x0.shape[1:]
        row, column = prepared.lattice.origin
        self._rows = _continued(row, height, multiple)
        self._columns = _continued(column, width, multiple)
        sides = ((0, 0), self._rows, self._columns)
        self._image = np.pad(prepared.x0, sides, mode="reflect")
        labels = rough.argmax(axis=0).astype(np.int64)
        self._rough = np.pad(labels, sides[1:], mode="reflect")
        self._origin = (row - self._rows[0], column - self._columns[0])
        window, longest = model.card.window_px // multiple * multiple, max(self._image.shape[1:])
        # Four windows for a tile that is a little larger than one would cost four times as much.
        self._size = longest if longest <= window + 2 * multiple else max(multiple, window)
        self._kept: dict[tuple[int, int], Guidance] = {}
        self._kept_bytes = 0

    def draw(
        self, seed: int, steps: int, progress: Progress | None, seen: Seen | None
    ) -> FloatArray:
        """Walk from noise to class probabilities.

        Args:
            seed: names the noise.
            steps: of DDIM.
            progress: told after every step; may raise to stop.
            seen: told what every step expects.

        Returns:
            float32 [K, H, W] on the image's own grid.
        """
        height, width = (side // self._factor for side in self._image.shape[1:])
        row, column = (first // self._factor for first in self._origin)
        channels = self._refiner.codec.channels
        noise = position_noise(seed, channels, height, width, row=row, col=column)
        z0 = sample(
            self._eps,
            torch.from_numpy(noise[None]),
            prediction="epsilon",
            steps=steps,
            progress=progress,
            is_latent=True,
            seen=seen,
        )
        return self.probabilities(z0)

    def probabilities(self, z0: torch.Tensor) -> FloatArray:
        """Decode a latent float32 [1, C, h, w] to probabilities [K, H, W] on the image's grid."""

        def decode(windows: FloatArray, _: list[tuple[int, int]]) -> FloatArray:
            """Give the softmax of windows at the lattice's resolution, pixels folded away."""
            with torch.inference_mode():
                logits = self._refiner.codec.decode(torch.from_numpy(windows).to(self._device))
            shares = torch.softmax(logits.float(), dim=1)
            folded = torch.nn.functional.pixel_unshuffle(shares, self._factor)
            found: FloatArray = folded.cpu().numpy()
            return found

        folded = torch.from_numpy(self._tiled(decode, z0[0].numpy()))
        shares = torch.nn.functional.pixel_shuffle(folded[None], self._factor)[0].numpy()
        height, width = self._prepared.x0.shape[1:]
        top, left = self._rows[0], self._columns[0]
        inside = np.ascontiguousarray(shares[:, top : top + height, left : left + width])
        return self._prepared.lattice.to_image(inside)

    def _tiled(self, predict: Predictor, field: FloatArray) -> FloatArray:
        """Run something over the windows of the latent."""
        multiple = self._refiner.multiple // self._factor
        size = self._size // self._factor
        return predict_tiled(
            predict,
            field,
            size=size,
            overlap=size // 4 // multiple * multiple,
            batch=BATCH,
            multiple=multiple,
            origin=(self._origin[0] // self._factor, self._origin[1] // self._factor),
        )

    def _eps(self, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict the noise of the whole field, float32 [1, C, h, w]."""

        def predict(windows: FloatArray, positions: list[tuple[int, int]]) -> FloatArray:
            """Predict the noise of windows, with guidance."""
            return self._window_eps(torch.from_numpy(windows), int(t[0]), positions)

        return torch.from_numpy(self._tiled(predict, z_t[0].numpy()))[None]

    def _window_eps(
        self, z_t: torch.Tensor, t: int, positions: list[tuple[int, int]]
    ) -> FloatArray:
        """Predict with and without guidance in one batch, and extrapolate."""
        size = (z_t.shape[2], z_t.shape[3])
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"),
        ):
            known = stacked([self._guidance_at(position, size) for position in positions])
            z_t = z_t.to(self._device, memory_format=torch.channels_last)
            if self._guidance != 1.0:
                nothing = dropped(known, torch.zeros(len(z_t), device=self._device))
                z_t, known = torch.cat([z_t, z_t]), stacked([known, nothing])
            steps = torch.full((len(z_t),), t, dtype=torch.int64, device=self._device)
            eps = self._refiner(z_t, steps, known).float()
        if self._guidance != 1.0:
            told, untold = eps.chunk(2)
            eps = guided(told, untold, self._guidance)
        found: NDArray[np.float32] = eps.cpu().numpy()
        return found

    def _guidance_at(self, position: tuple[int, int], size: tuple[int, int]) -> Guidance:
        """Guidance of one window, computed once where there is room to keep it."""
        if position in self._kept:
            return self._kept[position]
        top = position[0] * self._factor - self._origin[0]
        left = position[1] * self._factor - self._origin[1]
        rows = slice(top, top + size[0] * self._factor)
        columns = slice(left, left + size[1] * self._factor)
        image = torch.from_numpy(self._image[None, :, rows, columns]).to(self._device)
        rough = torch.from_numpy(self._rough[None, rows, columns]).to(self._device)
        made = self._refiner.guidance(image, rough)
        used = sum(_bytes(level) for level in made)
        if self._kept_bytes + used <= GUIDANCE_BYTES:
            self._kept[position] = made
            self._kept_bytes += used
        return made


def _bytes(level: LevelGuidance) -> int:
    """Memory of one level's guidance."""
    return sum(each.numel() * each.element_size() for each in (level.mixed, level.keys_values))


def _continued(first: int, extent: int, multiple: int) -> tuple[int, int]:
    """Pixels to add before and behind an axis, so that it starts and ends on a multiple."""
    return first % multiple, -(first + extent) % multiple
