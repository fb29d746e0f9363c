"""Where crops come from: labelled folders, procedural scenes, pairs made from single dates."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.base import Sample, Task
from n2m_core.datasets.folder import FolderChange, FolderSegmentation
from n2m_core.datasets.opening import open_dataset
from n2m_core.datasets.unlabelled import UnlabelledImages
from n2m_core.datasets.xyz import XyzTiles
from n2m_core.errors import ConfigError
from n2m_core.geo_image import GeoImage
from n2m_core.lineage import DataCredit
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.training.augment import radiometric
from n2m_core.training.config import AugmentConfig, SourceConfig
from n2m_core.training.crops import Crop, Cropper, Rng, Tile
from n2m_core.training.losses import IGNORED
from n2m_core.training.pairs import change_label, edited, jiggled
from n2m_core.training.scene_bank import scene_tiles

BUILDING_CLASSES = (ClassInfo("background", "#000000"), ClassInfo("building", "#ffffff"))
RGB = 3
NO_DATA = np.uint8(128)
"""What pixels without data show: the middle of the range, as they are when maps are made."""

_log = logging.getLogger(__name__)


def data_root() -> Path:
    """Folder of the labelled imagery: $N2M_DATA, else the working folder."""
    return Path(os.environ.get("N2M_DATA", "."))


class AbstractSource(ABC):
    """A source of labelled crops."""

    def __init__(self, config: SourceConfig, tiles: Sequence[Tile]) -> None:
        """Hold the tiles in memory.

        Raises:
            ConfigError: there are none.
        """
        if not tiles:
            raise ConfigError(f"Source '{config.name}' has no tiles; check root and only.")
        self.config = config
        self.tiles = tiles

    @property
    def credit(self) -> DataCredit:
        """What the card says about this source."""
        c = self.config
        return DataCredit(c.name, c.licence, c.attribution, len(self.tiles))

    def _cut(self, cropper: Cropper, resolution_m: float, rng: Rng) -> Crop:
        tile = self.tiles[int(rng.integers(len(self.tiles)))]
        return cropper.cut(tile, resolution_m, rng)

    @abstractmethod
    def draw(self, cropper: Cropper, rng: Rng) -> Crop:
        """Draw one crop."""


class TileSource(AbstractSource):
    """Crops of labelled tiles, single-date or two dates stacked."""

    def __init__(self, config: SourceConfig, tiles: Sequence[Tile]) -> None:
        """Find the targets to lay crops around."""
        super().__init__(config, tiles)
        found = [np.flatnonzero((tile.label != 0) & (tile.label != IGNORED)) for tile in tiles]
        self._targets = [(i, pixels) for i, pixels in enumerate(found) if pixels.size]
        # The root keeps one crowded tile from filling every batch.
        chances = np.sqrt([pixels.size for _, pixels in self._targets])
        self._chances = chances / chances.sum() if self._targets else chances

    def draw(self, cropper: Cropper, rng: Rng) -> Crop:
        """Cut a random tile at a random place, or around a target."""
        if not self._targets or rng.random() >= self.config.focus:
            return self._cut(cropper, cropper.resolution(rng), rng)
        index, pixels = self._targets[int(rng.choice(len(self._targets), p=self._chances))]
        tile = self.tiles[index]
        row, col = divmod(int(rng.choice(pixels)), tile.label.shape[1])
        return cropper.cut(tile, cropper.resolution(rng), rng, (row, col))


class LabelPairSource(AbstractSource):
    """Two dates made from single-date building labels."""

    def draw(self, cropper: Cropper, rng: Rng) -> Crop:
        """Put two places side by side, or edit one."""
        resolution = cropper.resolution(rng)
        one, other = (self._cut(cropper, resolution, rng) for _ in range(2))
        if rng.random() >= self.config.two_places:
            other = edited(one, other, rng)
        before, after = (one, other) if rng.random() < 0.5 else (other, one)
        image = torch.cat([before.image, jiggled(after.image, rng)])
        return Crop(image, change_label(before.label, after.label))


def open_source(
    config: SourceConfig, task: Task, classes: tuple[ClassInfo, ...], cache: Path
) -> AbstractSource:
    """Read a source into memory.

    Args:
        config: which.
        task: what the labels are for.
        classes: of the checkpoint.
        cache: folder for scenes that were made before.

    Returns:
        The source.

    Raises:
        ConfigError: the configuration contradicts itself, or nothing was found.
        DatasetError: a folder lacks files of its layout.
    """
    if config.kind in ("folder", "xyz", "dataset"):
        return TileSource(config, _tiles(_samples(config, task, classes), config))
    if config.kind == "images":
        return TileSource(config, _unlabelled_tiles(config))
    if config.kind == "label_pairs":
        samples = _samples(config, "segment", BUILDING_CLASSES)
        return LabelPairSource(config, _tiles(samples, config))
    if config.count < 1:
        raise ConfigError(f"Source '{config.name}' makes scenes; give its count, at least 1.")
    return TileSource(config, scene_tiles(config, len(classes), cache))


def shared_labels(
    sources: tuple[AbstractSource, ...], share: float, seed: int
) -> tuple[AbstractSource, ...]:
    """Keep a share of each source's tiles, at least one; a smaller share is part of a larger one.

    Args:
        sources: with all their tiles.
        share: 0..1, 1 for all.
        seed: decides which tiles stay.
    """
    if share == 1:
        return sources
    kept = []
    for number, source in enumerate(sources):
        order = np.random.default_rng([seed, number]).permutation(len(source.tiles))
        count = max(round(share * len(order)), 1)
        tiles = [source.tiles[i] for i in sorted(order[:count])]
        kept.append(type(source)(source.config, tiles))
    return tuple(kept)


def _samples(config: SourceConfig, task: Task, classes: tuple[ClassInfo, ...]) -> Iterable[Sample]:
    root = data_root() / config.root
    is_named = config.kind in ("dataset", "label_pairs")
    if config.kind == "xyz" or (is_named and config.layout == "xyz"):
        folder = root / config.split if is_named and config.split else root
        return XyzTiles(folder, classes, zoom=config.zoom)
    if is_named:
        return open_dataset(
            config.layout,
            root,
            config.split,
            task=task,
            classes=classes,
            resolution_m=config.resolution_m,
        )
    if task == "change":
        return FolderChange(root, classes)
    return FolderSegmentation(root, classes)


def _tiles(samples: Iterable[Sample], config: SourceConfig) -> list[Tile]:
    """Turn samples into tiles, leaving out what has no data."""
    tiles = []
    for sample in samples:
        if config.only and not sample.name.startswith(config.only):
            continue
        resolution = sample.image.resolution_m or config.resolution_m
        if resolution is None:
            raise ConfigError(f"Source '{config.name}' has no georeference; give its resolution_m.")
        dates = [sample.image] if sample.after is None else [sample.image, sample.after]
        if min(date.bands for date in dates) < RGB:
            raise ConfigError(
                f"Image '{sample.name}' of source '{config.name}' has fewer than three bands; "
                "training takes red, green and blue. Give three bands, or leave it out with only."
            )
        pixels = np.concatenate([_eight_bit(date) for date in dates])
        label = sample.label.copy()
        for date in dates:
            label[~date.valid] = IGNORED
        tiles.append(Tile(pixels, label, resolution))
    return tiles


def _unlabelled_tiles(config: SourceConfig) -> list[Tile]:
    """Read images without labels; their labels count nowhere."""
    tiles, passed_over = [], []
    for picture in UnlabelledImages(data_root() / config.root):
        if config.only and not picture.name.startswith(config.only):
            continue
        image = picture.image
        if image.bands < RGB:
            passed_over.append(picture.name)
            continue
        resolution = image.resolution_m or config.resolution_m
        if resolution is None:
            raise ConfigError(f"Source '{config.name}' has no georeference; give its resolution_m.")
        # One value seen from every pixel: ten thousand of these fill no memory.
        label = np.broadcast_to(np.uint8(IGNORED), image.valid.shape)
        tiles.append(Tile(_eight_bit(image), label, resolution))
    if passed_over:
        _log.warning(
            "source '%s': %d image(s) with fewer than three bands are left out, %s the first",
            *(config.name, len(passed_over), passed_over[0]),
        )
    return tiles


def _eight_bit(image: GeoImage) -> NDArray[np.uint8]:
    """Red, green and blue as a network will see them later, 0..255 [3, H, W]; grey without data."""
    if image.pixels.dtype == np.uint8:
        return np.where(image.valid, image.pixels[:RGB], NO_DATA)
    seen = to_model_range(image, Normalization())[:RGB]
    return np.asarray(((seen + 1) * 127.5).round(), dtype=np.uint8)


class CropMixer:
    """Draws augmented crops from all sources by their weights."""

    def __init__(
        self, sources: Sequence[AbstractSource], cropper: Cropper, augment: AugmentConfig
    ) -> None:
        """Prepare the draw."""
        weights = np.array([source.config.weight for source in sources])
        self._sources = sources
        self._chances = weights / weights.sum()
        self._cropper = cropper
        self._augment = augment

    def draw(self, rng: Rng, strength: float = 1.0) -> Crop:
        """Draw one crop, recoloured at a share of the full strength; its image is in [-1, 1]."""
        source = self._sources[int(rng.choice(len(self._sources), p=self._chances))]
        crop = source.draw(self._cropper, rng)
        look = self._recolor(crop.image, self._augment.eased(strength), rng)
        return Crop(look * 2 - 1, crop.label)

    def _recolor(self, image: torch.Tensor, augment: AugmentConfig, rng: Rng) -> torch.Tensor:
        """Change the look; both dates of a pair alike or each on its own."""
        donor = self._sources[int(rng.integers(len(self._sources)))]
        style = donor.tiles[int(rng.integers(len(donor.tiles)))].image[:3, ::7, ::7]
        style_image = torch.from_numpy(style.astype(np.float32) / 255)
        seed = int(rng.integers(2**31))
        apart = rng.random() < augment.independent_dates
        dates = [
            radiometric(part, style_image, augment, np.random.default_rng(seed + i * apart))
            for i, part in enumerate(torch.split(image, 3))
        ]
        return torch.cat(dates)

    def batch(
        self, size: int, rng: Rng, strength: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a batch: float32 [B, C, h, w] in [-1, 1] and int64 [B, h, w]."""
        crops = [self.draw(rng, strength) for _ in range(size)]
        images = torch.stack([crop.image for crop in crops])
        return images, torch.stack([crop.label for crop in crops]).long()
