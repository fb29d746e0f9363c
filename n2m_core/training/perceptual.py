"""Perceptual loss on the features of a Noise2Map backbone.

Papers: Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-
Resolution", ECCV 2016; Zhang et al. (SA-STF), CVPR 2026.

Deviations from SA-STF: the features are those of our own segmentation network's first levels in
place of VGG-16-BN, the mean of the bands is stretched to the contrast that this network knows, and
every level's error is taken relative to the size of its features, for which no common scale exists.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from n2m_core import checkpoints
from n2m_core.errors import ConfigError
from n2m_core.models.noise2map import Noise2Map

WEIGHTS = (1.0, 0.8, 0.6)
"""Of the levels, finest first; those of SA-STF for the blocks of VGG."""
CENTRE, SPREAD = -0.6, 0.3
"""Reflectance 0.2, and 0.15 to either side of it, in model range: what becomes 0 and -1..1."""
RGB = 3


class PerceptualLoss(nn.Module):
    """Distance of two images in the features of a frozen network."""

    def __init__(self, network: Noise2Map) -> None:
        """Hold the network, frozen."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def from_checkpoint(cls, checkpoint: str) -> PerceptualLoss:
        """Load the network of a checkpoint for single images.

        Raises:
            CheckpointError: there is none.
            ConfigError: it is no Noise2Map for single images.
        """
        network = checkpoints.load(checkpoint, device="cpu").model
        if not isinstance(network, Noise2Map) or network.config.in_channels != RGB:
            raise ConfigError(
                f"loss.features_from is {checkpoint}, which is no Noise2Map for single images; "
                "name one, such as n2m-buildings."
            )
        return cls(network)

    def forward(self, found: Tensor, truth: Tensor, present: Tensor) -> Tensor:
        """Give the loss, a scalar.

        Args:
            found: predicted image, float32 [B, S, H, W] in model range.
            truth: the true one.
            present: float32 [B, S], 1 where a slot is filled.
        """
        with torch.no_grad():
            wanted = self._features(truth, present)
        pairs = zip(self._features(found, present), wanted, WEIGHTS, strict=True)
        parts = [
            weight * (a - b).square().mean() / b.square().mean().clamp(min=1e-6)
            for a, b, weight in pairs
        ]
        return torch.stack(parts).sum()

    def _features(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Give the features of the mean of the filled slots, finest level first."""
        filled = present[:, :, None, None]
        count = filled.sum(1, keepdim=True).clamp(min=1)
        mean = (image * filled).sum(1, keepdim=True) / count
        gray = ((mean - CENTRE) / SPREAD).expand(-1, RGB, -1, -1)
        t = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        return self.network.backbone.shallow(self.network.stem(gray), t, len(WEIGHTS))
