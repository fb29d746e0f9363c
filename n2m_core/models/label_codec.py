"""Between class maps and latents: what IDGBR's diffusion runs on.

Paper: Wang, Hu, Guo, Li, Tao, "A Gift from the Integration of Discriminative and Diffusion-based
Generative Learning", IEEE TPAMI 2026, arXiv 2507.01573.

Symbols:
    y  class map, int64 [B, H, W] in 0..K-1
    z  latent of a class map, float32 [B, C, H / factor, W / factor]

Both codecs first turn y into a pseudo-RGB picture: a table of K colours, squashed to (-1, 1), as
the paper has it. The paper's picture goes through Stable Diffusion's frozen autoencoder and comes
back through two 1x1 convolutions.

Deviations from the paper: the compact codec is a small autoencoder at a quarter of the resolution,
learned on label crops in some hundred steps before the denoiser's first one. Its latents have mean
0 and variance 1 a channel, so that they suit the noise schedule, and it learns with noise on them,
so that classes that are close on the map stay apart there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

RGB = 3
LEARNED_FACTOR = 4
SD_SCALE = 0.18215
"""Latents of Stable Diffusion's autoencoder times this have variance near 1."""
PAPER_HIDDEN = 128


class AbstractCodec(nn.Module, ABC):
    """Encodes class maps and decodes latents.

    Attributes:
        factor: pixels of the map per pixel of the latent, along each side.
        channels: of the latent.
    """

    factor: int
    channels: int

    @abstractmethod
    def encode(self, labels: Tensor) -> Tensor:
        """Give the latent of class maps.

        Args:
            labels: int64 [B, H, W] in 0..K-1, sides multiples of `factor`.

        Returns:
            float32 [B, C, H / factor, W / factor].
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Give class logits, float32 [B, K, H, W], of latents."""

    @abstractmethod
    def reconstruction(self, labels: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Give the logits that the codec learns from.

        Args:
            labels: int64 [B, H, W].
            noise: standard normal of the shape that `noise_shape` says.
            sigma: how much of it is added on the way.

        Returns:
            Logits, float32 [B, K, H, W].
        """

    @abstractmethod
    def noise_shape(self, labels: Tensor) -> tuple[int, ...]:
        """Shape of the noise that `reconstruction` takes."""


class ColorTable(nn.Module):
    """A colour for every class, squashed to (-1, 1)."""

    def __init__(self, classes: int) -> None:
        """Draw K colours."""
        super().__init__()
        self.colors = nn.Parameter(torch.randn(classes, RGB))

    def forward(self, labels: Tensor) -> Tensor:
        """Give the pseudo-RGB picture, float32 [B, 3, H, W], of int64 [B, H, W]."""
        return torch.tanh(self.colors)[labels].movedim(-1, 1)


class LearnedCodec(AbstractCodec):
    """The compact codec: everything beyond the pseudo-RGB picture runs at a quarter of the size."""

    factor = LEARNED_FACTOR

    def __init__(self, classes: int, channels: int, width: int) -> None:
        """Build both ways with random weights.

        Args:
            classes: K.
            channels: of the latent.
            width: of the layers between.
        """
        super().__init__()
        self.channels = channels
        self.table = ColorTable(classes)
        block = RGB * self.factor**2
        # The straight ways find the principal blocks of 4 x 4 px at once; the others refine them.
        self.straight_in = nn.Conv2d(block, channels, 1)
        self.straight_out = nn.Conv2d(channels, classes * self.factor**2, 1)
        self.encoder = nn.Sequential(
            nn.Conv2d(block, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(width, channels, 1),
        )
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(width, classes * self.factor**2, 1),
        )

    def encode(self, labels: Tensor) -> Tensor:
        """Give the latent; see `AbstractCodec`."""
        blocks = functional.pixel_unshuffle(self.table(labels), self.factor)
        return torch.as_tensor(self.norm(self.straight_in(blocks) + self.encoder(blocks)))

    def decode(self, z: Tensor) -> Tensor:
        """Give class logits; see `AbstractCodec`."""
        blocks = self.straight_out(z) + self.decoder(z)
        return functional.pixel_shuffle(blocks, self.factor)

    def reconstruction(self, labels: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Encode, add noise to the latent, decode."""
        return self.decode(self.encode(labels) + sigma * noise)

    def noise_shape(self, labels: Tensor) -> tuple[int, ...]:
        """Shape of the latent."""
        count, height, width = labels.shape
        return count, self.channels, height // self.factor, width // self.factor


class PseudoRgbCodec(AbstractCodec):
    """The paper's codec around Stable Diffusion's frozen autoencoder."""

    def __init__(self, classes: int, vae: Any) -> None:  # noqa: ANN401 - diffusers has no types
        """Hold the autoencoder.

        Args:
            classes: K.
            vae: diffusers' `AutoencoderKL`.
        """
        super().__init__()
        self.table = ColorTable(classes)
        self.head = nn.Sequential(
            nn.Conv2d(RGB, PAPER_HIDDEN, 1), nn.ReLU(), nn.Conv2d(PAPER_HIDDEN, classes, 1)
        )
        self.vae = vae.eval().requires_grad_(False)
        self.factor = 1 << (len(vae.config["block_out_channels"]) - 1)
        self.channels = int(vae.config["latent_channels"])

    def train(self, mode: bool = True) -> PseudoRgbCodec:
        """Switch the table and the head; the autoencoder stays as it is."""
        super().train(mode)
        self.vae.eval()
        return self

    def encode(self, labels: Tensor) -> Tensor:
        """Give the latent; see `AbstractCodec`."""
        return self.encode_picture(self.table(labels))

    def encode_picture(self, picture: Tensor) -> Tensor:
        """Give the latent of a picture, float32 [B, 3, H, W] in [-1, 1]."""
        return torch.as_tensor(self.vae.encode(picture).latent_dist.mode()) * SD_SCALE

    def decode(self, z: Tensor) -> Tensor:
        """Give class logits; see `AbstractCodec`."""
        return torch.as_tensor(self.head(self.vae.decode(z / SD_SCALE).sample))

    def reconstruction(self, labels: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Add noise to the pseudo-RGB picture and read it; the autoencoder takes no part."""
        return torch.as_tensor(self.head(self.table(labels) + sigma * noise))

    def noise_shape(self, labels: Tensor) -> tuple[int, ...]:
        """Shape of the pseudo-RGB picture."""
        count, height, width = labels.shape
        return count, RGB, height, width


def codec_loss(codec: AbstractCodec, labels: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Cross-entropy of the class maps that come back.

    Args:
        codec: in training mode.
        labels: int64 [B, H, W] in 0..K-1.
        noise: standard normal, of `codec.noise_shape(labels)`.
        sigma: its strength.

    Returns:
        Scalar.
    """
    return functional.cross_entropy(codec.reconstruction(labels, noise, sigma), labels)
