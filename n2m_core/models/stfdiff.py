"""A learned peer of SA-STF: conditional diffusion in the manner of STFDiff.

STFDiff denoises the fine image itself: a clean branch encodes the known images, a noisy branch the
noisy one, and the difference of their features, taken as the noise's, is skipped into the decoder.

Symbols as in `models.fusion_network`.

Deviations from STFDiff: both reference pairs go in, not one; the network is told the levels of
`diffusion.residual` (towards zero, with the cosine schedule, that is its own process); bands enter
by slots; residual blocks and sizes are those of our other networks, so that peers differ in design
alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from n2m_core.errors import ParameterError
from n2m_core.models.fusion_blocks import Decoder, LevelEmbedding, NoisyEncoder
from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    Condition,
    FusionImages,
    FusionNetworkConfig,
)

IMAGES = 5


class STFDiff(AbstractFusionNetwork):
    """Clean branch, noisy branch, and a decoder that is given their difference."""

    def __init__(self, config: FusionNetworkConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        channels, groups, width = config.channels, config.groups, config.width
        bands = config.slots * config.shrink**2
        self.clean = NoisyEncoder(IMAGES * bands, channels, groups, 0)
        self.level = LevelEmbedding(width)
        self.noisy = NoisyEncoder(bands, channels, groups, width)
        self.decoder = Decoder(channels, bands, groups, width)
        if config.guess != "none":
            self.decoder.start_at_zero()

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        return f"STFDiff, width {self.config.width}, {len(self.config.multipliers)} levels"

    def condition(self, images: FusionImages) -> Condition:
        """Run the clean branch; see `AbstractFusionNetwork`."""
        order = (images.coarse1, images.coarse0, images.fine0, images.coarse2, images.fine2)
        seen = [self.folded(self.standardized(each, images.present)) for each in order]
        features = self.clean(torch.cat(seen, dim=1))
        return Condition(tuple(features), features[-1], self.base(images), images.present)

    def denoise(self, x: Tensor, levels: Tensor, condition: Condition) -> Tensor:
        """Predict F1 from a noisy image; see `AbstractFusionNetwork`."""
        embedded = self.level(levels[:, 1])
        noisy = self.noisy(self.folded(self.standardized(x, condition.present)), embedded)
        noise = tuple(a - b for a, b in zip(noisy, condition.features, strict=True))
        return self.corrected(self.decoder(noisy[-1], noise, embedded), condition.base)

    def one_pass(self, condition: Condition) -> Tensor:
        """Refuse: without diffusion nothing is left of the design."""
        raise ParameterError(
            "STFDiff has no pass without diffusion; sample it in one or more steps."
        )
