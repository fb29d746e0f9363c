"""SA-STF: semantic-adaptive diffusion for spatiotemporal fusion.

Paper: Zhang et al., "Semantic-Adaptive Diffusion for Dynamic Spatiotemporal Fusion", CVPR 2026.

Symbols:
    F0, C0, F2, C2, C1  the five images; f_k, c_k their deepest features, c1 those of C1
    x                   noisy image; x_deep its deepest features
    a, b                gain and offset of the change from date k to date 1, in feature space
    a_h                 the gain at fine scale
    h_k                 fine features of date k, brought to date 1
    M                   unchanged mask, per place and channel
    F_d                 fused deep features
    A_t, B_t            levels of residual and noise, see `diffusion.residual`

Deviations from the paper: `shrink` folds pixels into channels, so that a compact network's first
level works at half the resolution without losing a pixel; the output may be added to an analytic
guess (`guess`), the prediction is F1 all the same; bands enter by slots that may stay empty; the
gain a is learned as its difference from one, so that an untrained network passes the references on;
one set of weights may serve both ways, with x and without.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from n2m_core.errors import ParameterError
from n2m_core.models.fusion_blocks import (
    Decoder,
    LevelEmbedding,
    LightBlock,
    NoisyEncoder,
    ResidualBlock,
    SelfAttention,
    attended,
    strided,
)
from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    Condition,
    FusionImages,
    FusionNetworkConfig,
)

IMAGES = 5


class SASTF(AbstractFusionNetwork):
    """Noise encoder, shared image encoder, shallow and deep fusion, Taylor decoder."""

    def __init__(self, config: FusionNetworkConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        channels, groups = config.channels, config.groups
        bands = config.slots * config.shrink**2
        self.encoder = ImageEncoder(bands, channels, groups)
        self.shallow = nn.ModuleList(ShallowFusion(each) for each in channels[:-1])
        self.deep = DeepFusion(config)
        self.noise_level = LevelEmbedding(config.width)
        if config.has_diffusion:
            self.residual_level = LevelEmbedding(config.width)
            self.noisy = NoisyEncoder(bands, channels, groups, config.width)
            if config.has_taylor:
                self.taylor = ResidualBlock(channels[-1], channels[-1], groups, config.width)
        self.middle = ResidualBlock(channels[-1], channels[-1], groups, config.width)
        self.decoder = Decoder(channels, bands, groups, config.width)
        if config.guess != "none":
            self.decoder.start_at_zero()

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        config = self.config
        parts = {
            "diffusion": config.has_diffusion,
            "Taylor": config.has_taylor and config.has_diffusion,
            "TFA": config.has_tfa,
            "SAF": config.has_saf,
        }
        named = " + ".join(name for name, is_there in parts.items() if is_there) or "encoder alone"
        return f"SA-STF ({named}), width {config.width}, {len(config.multipliers)} levels"

    def condition(self, images: FusionImages) -> Condition:
        """Encode the five images and fuse them; see `AbstractFusionNetwork`."""
        order = (images.coarse1, images.coarse0, images.fine0, images.coarse2, images.fine2)
        seen = [self.folded(self.standardized(each, images.present)) for each in order]
        levels = self.encoder(torch.cat(seen))
        skips = [
            fuse(*level.chunk(IMAGES))
            for fuse, level in zip(self.shallow, levels[:-1], strict=True)
        ]
        fused: Fused = self.deep(*levels[-1].chunk(IMAGES))
        return Condition(
            features=(*skips, fused.features),
            coarse=fused.coarse,
            base=self.base(images),
            present=images.present,
            predicted=fused.predicted,
            unchanged=fused.unchanged,
            second=fused.second,
        )

    def denoise(self, x: Tensor, levels: Tensor, condition: Condition) -> Tensor:
        """Predict F1 from a noisy image; see `AbstractFusionNetwork`."""
        if not self.config.has_diffusion:
            raise ParameterError(
                "These weights know no diffusion; use the mode without it (one pass)."
            )
        residual = self.residual_level(levels[:, 0])
        seen = self.folded(self.standardized(x, condition.present))
        deep = self.noisy(seen, residual)[-1]
        if self.config.has_taylor:
            deep = deep - self.taylor(condition.coarse - condition.features[-1], residual)
        return self._decoded(deep, levels[:, 1], condition)

    def one_pass(self, condition: Condition) -> Tensor:
        """Predict F1 from F_d in place of the noisy features (TFA + SAF alone)."""
        deep = condition.features[-1]
        return self._decoded(deep, torch.zeros(len(deep), device=deep.device), condition)

    def _decoded(self, deep: Tensor, noise_level: Tensor, condition: Condition) -> Tensor:
        embedded = self.noise_level(noise_level)
        output = self.decoder(self.middle(deep, embedded), condition.features, embedded)
        return self.corrected(output, condition.base)


class ImageEncoder(nn.Module):
    """One set of weights for all five images: a light block a level, strided convolutions."""

    def __init__(self, in_channels: int, channels: list[int], groups: int) -> None:
        """Build the layers."""
        super().__init__()
        self.entry = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            LightBlock(before, after, groups)
            for before, after in zip([channels[0], *channels], channels, strict=False)
        )
        self.shrink = nn.ModuleList(strided(each) for each in channels[:-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Give the features of every level, finest first."""
        level = self.entry(images)
        found = []
        for number, block in enumerate(self.blocks):
            level = block(level if number == 0 else self.shrink[number - 1](level))
            found.append(level)
        return found


class ShallowFusion(nn.Module):
    """Join a level's features: coarse ones, fine ones, then both."""

    def __init__(self, channels: int) -> None:
        """Build the layers."""
        super().__init__()
        self.coarse = nn.Conv2d(3 * channels, channels, 3, padding=1)
        self.fine = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.both = nn.Conv2d(2 * channels, channels, 1)

    def forward(
        self, coarse1: Tensor, coarse0: Tensor, fine0: Tensor, coarse2: Tensor, fine2: Tensor
    ) -> Tensor:
        """Give the level's skip features, float32 [B, C, h, w]."""
        coarse = self.coarse(torch.cat([coarse1, coarse0, coarse2], dim=1))
        fine = self.fine(torch.cat([fine0, fine2], dim=1))
        return torch.as_tensor(self.both(torch.cat([coarse, fine], dim=1)))


@dataclass(frozen=True, eq=False)
class Fused:
    """What deep fusion gives: F_d, c1, c1 as predicted, and the shares of `Condition`."""

    features: Tensor
    coarse: Tensor
    predicted: tuple[Tensor, ...]
    unchanged: Tensor | None
    second: Tensor | None


class DeepFusion(nn.Module):
    """Residual block, temporal feature alignment, semantic adaptive fusion, residual block."""

    def __init__(self, config: FusionNetworkConfig) -> None:
        """Build what the configuration has."""
        super().__init__()
        deepest, groups = config.channels[-1], config.groups
        self.before = ResidualBlock(deepest, deepest, groups)
        self.look = SelfAttention(deepest, groups, config.heads) if config.has_tfa else None
        self.align = TemporalAlignment(deepest, config.heads) if config.has_tfa else None
        self.choose = AdaptiveFusion(deepest, groups) if config.has_saf else None
        self.join = None if config.has_saf else nn.Conv2d(3 * deepest, deepest, 1)
        self.after = ResidualBlock(deepest, deepest, groups)

    def forward(
        self,
        coarse1: Tensor,
        coarse0: Tensor,
        fine0: Tensor,
        coarse2: Tensor,
        fine2: Tensor,
    ) -> Fused:
        """Fuse the deepest features of the five images, float32 [B, C, h, w] each."""
        features = self.before(torch.cat([coarse1, coarse0, fine0, coarse2, fine2]))
        if self.look is not None:
            features = self.look(features)
        c1, c0, f0, c2, f2 = features.chunk(IMAGES)
        h0, h2 = f0, f2
        predicted: tuple[Tensor, ...] = ()
        if self.align is not None:
            h0, predicted0 = self.align(c1, c0, f0)
            h2, predicted2 = self.align(c1, c2, f2)
            predicted = (predicted0, predicted2)
        unchanged = second = None
        if self.choose is not None:
            unchanged, second = choices(c1, f0, f2, h0, h2)
            fused = self.choose(c1, f0, h0, h2, unchanged, second)
        else:
            assert self.join is not None
            fused = self.join(torch.cat([h0, h2, c1], dim=1))
        return Fused(
            features=self.after(fused),
            coarse=c1,
            predicted=predicted,
            unchanged=None if unchanged is None else _share(unchanged),
            second=None if second is None else _share(second),
        )


class TemporalAlignment(nn.Module):
    """TFA: learn the change from the coarse features, apply it to the fine ones.

    a = 1 + MLP([c1, c_k]), b = MLP(mean over places of W (f_k - c_k)); c1 is predicted as
    a c_k + b, and h_k = a_h f_k + b with a_h = attention(query f_k, key c_k, value a).
    """

    def __init__(self, channels: int, heads: int) -> None:
        """Build the layers; the gain starts at one and the offset at zero."""
        super().__init__()
        self.heads = heads
        self.gain = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1), nn.SiLU(), nn.Conv2d(channels, channels, 1)
        )
        self.difference = nn.Conv2d(channels, channels, 1)
        self.offset = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.key = nn.Conv2d(channels, channels, 1, bias=False)
        for layer in (self.gain[-1], self.offset[-1]):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # has one

    def forward(self, c1: Tensor, c_k: Tensor, f_k: Tensor) -> tuple[Tensor, Tensor]:
        """Give (h_k, c1 as predicted), float32 [B, C, h, w] each."""
        gain = 1 + self.gain(torch.cat([c1, c_k], dim=1))
        mean = self.difference(f_k - c_k).mean((2, 3))
        offset = self.offset(mean)[:, :, None, None]
        fine_gain = attended(self.query(f_k), self.key(c_k), gain, self.heads)
        return fine_gain * f_k + offset, gain * c_k + offset


class AdaptiveFusion(nn.Module):
    """SAF: copy f0 where nothing changed, else take the better reference; add the coarse target."""

    def __init__(self, channels: int, groups: int) -> None:
        """Build the layers."""
        super().__init__()
        self.block = ResidualBlock(channels, channels, groups)
        self.coarse = nn.Conv2d(channels, channels, 1)

    def forward(
        self, c1: Tensor, f0: Tensor, h0: Tensor, h2: Tensor, unchanged: Tensor, second: Tensor
    ) -> Tensor:
        """Give the fused features, float32 [B, C, h, w]; the masks are bool of that shape."""
        fused = torch.where(unchanged, f0, torch.where(second, h2, h0))
        return torch.as_tensor(self.block(fused) + self.coarse(c1))


def choices(c1: Tensor, f0: Tensor, f2: Tensor, h0: Tensor, h2: Tensor) -> tuple[Tensor, Tensor]:
    """Decide what is unchanged and which reference is better, per place and channel.

    M = [(f0 - f2)^2 < min((c1 - f0)^2, (c1 - f2)^2)]; date 0 is better where
    (c1 - h0)^2 < (c1 - h2)^2.

    Args:
        c1: coarse features of the target date, float32 [B, C, h, w].
        f0: fine features of date 0.
        f2: fine features of date 2.
        h0: those of date 0 brought to date 1.
        h2: those of date 2 brought to date 1.

    Returns:
        (M, where date 2 is better), bool [B, C, h, w].
    """
    apart = torch.minimum((c1 - f0) ** 2, (c1 - f2) ** 2)
    return (f0 - f2) ** 2 < apart, (c1 - h0) ** 2 >= (c1 - h2) ** 2


def _share(mask: Tensor) -> Tensor:
    """Give the share of the channels, float32 [B, 1, h, w]."""
    return mask.float().mean(1, keepdim=True)
