"""How many directions a network's features take, depth by depth."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from n2m_core.models.noise2map import Noise2Map
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.raster_io import read_image
from n2m_core.tasks.features import depths_of, removed_after

SCENE = Path(__file__).resolve().parents[1] / "sample_data" / "suburb_image.tif"
CROP_PX = 128


def feature_ranks(network: Noise2Map) -> list[tuple[str, float]]:
    """Give the effective rank of the features of every depth on clean crops of a scene, t = 0.

    Args:
        network: of single RGB images.

    Returns:
        Name and effective rank of each depth, in the order of the pass.
    """
    network.eval()
    ranks: list[tuple[str, float]] = []

    def watch(name: str, block: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def keep(_block: nn.Module, _given: object, output: Tensor | tuple[Tensor, ...]) -> None:
            features = output[0] if isinstance(output, tuple) else output
            ranks.append((name, effective_rank(features)))

        return block.register_forward_hook(keep)

    images = crops()
    hooks = [watch(name, block) for name, block in depths_of(network).items()]
    with removed_after(hooks), torch.inference_mode():
        network(images, torch.zeros(len(images), dtype=torch.int64))
    return ranks


def effective_rank(features: Tensor) -> float:
    """Compute exp(-sum_k p_k ln p_k), p_k = s_k / sum s (Roy and Vetterli, EUSIPCO 2007, eq. 4).

    Args:
        features: float32 [B, C, h, w]; every place of every image is a sample of C values.

    Returns:
        1 where all channels say the same, C where all directions carry alike; s are the singular
        values of the samples less their mean.
    """
    samples = features.movedim(1, 0).flatten(1).T
    values = torch.linalg.svdvals(samples - samples.mean(0))
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def crops() -> Tensor:
    """All whole crops of a scene, float32 [N, 3, H, W] in [-1, 1]."""
    image = torch.from_numpy(to_model_range(read_image(SCENE), Normalization()))
    rows = image.unfold(1, CROP_PX, CROP_PX).unfold(2, CROP_PX, CROP_PX)
    return rows.movedim(0, 2).flatten(0, 1)
