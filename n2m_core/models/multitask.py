"""Noise2Map for two tasks at once: one stem and one backbone under a head for each.

Paper: Shibli, Nascetti, Ban, "Noise2Map: End-to-End Diffusion Model for Semantic Segmentation and
Change Detection", IEEE TGRS 2026, arXiv 2604.27889, which trains both tasks on a shared backbone
and has not released how.

Symbols:
    x_t  noisy image, float32 [B, C, H, W], or noisy pair, float32 [B, 2C, H, W]
    t    timestep, int64 [B] in 0..999

Deviations from the paper: a pair does not enter the backbone as one input of twice the bands, which
would need a stem of its own. Each date goes through it as an image does, and looks at the other
between the way down and the way up (`shares_dates`); so all that is learned of images serves pairs.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from n2m_core.errors import ParameterError
from n2m_core.models.network import PEERS, AbstractNetwork, NetworkConfig
from n2m_core.models.noise2map import Noise2Map


class MultiTask(AbstractNetwork):
    """Maps an image by one head and a pair by the other.

    Attributes:
        of_images: the network of segmentation, made of the shared parts and its head.
        of_pairs: the network of change; a step of one changes the other.
    """

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights.

        Args:
            config: `in_channels` are the bands of one date, `classes` those of segmentation and
                `pair_classes` those of change.

        Raises:
            ParameterError: the number of classes of pairs is missing, or a peer is asked for.
        """
        super().__init__()
        if config.pair_classes is None or config.variant in PEERS:
            raise ParameterError(
                f"A network of both tasks is Noise2Map with classes of pairs; {config.variant} "
                f"with pair_classes {config.pair_classes} was asked for."
            )
        self.config = config
        one = Noise2Map(replace(config, pair_classes=None, shares_dates=False))
        pair = Noise2Map(
            replace(
                config,
                in_channels=2 * config.in_channels,
                classes=config.pair_classes,
                pair_classes=None,
                shares_dates=True,
            )
        )
        pair.stem, pair.backbone = one.stem, one.backbone
        self.stem, self.backbone, self.meetings = one.stem, one.backbone, pair.meetings
        self.heads = nn.ModuleDict({"segment": one.head, "change": pair.head})
        # In a tuple, so that no weight is listed twice under two names.
        self._networks = (one, pair)

    @property
    def of_images(self) -> Noise2Map:
        """The network of segmentation."""
        return self._networks[0]

    @property
    def of_pairs(self) -> Noise2Map:
        """The network of change."""
        return self._networks[1]

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        return self.of_images.multiple

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        return f"UNet2DModel, {self.config.variant}, one for images and pairs"

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Give class logits in one pass; the number of bands says of which task.

        Args:
            x_t: noisy (or clean) image, float32 [B, C, H, W], or pair, float32 [B, 2C, H, W].
            t: timestep of each sample, int64 [B].

        Returns:
            Logits, float32 [B, K, H, W].

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """
        network = self.of_images if x_t.shape[1] == self.config.in_channels else self.of_pairs
        return network.forward(x_t, t)
