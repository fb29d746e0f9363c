"""diffusers, imported without transformers.

diffusers imports transformers as soon as it finds it, for text encoders that nothing here uses;
that would add two seconds to the start of the app and of every command.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _unseen(package: str) -> Iterator[None]:
    """Let a package look as if it weren't installed; one that is imported already stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system's own mark
    try:
        yield
    finally:
        del sys.modules[package]


with _unseen("transformers"):
    from diffusers import (
        DDIMScheduler,
        DDPMScheduler,
        HeunDiscreteScheduler,
        PNDMScheduler,
        UNet2DModel,
    )
    from diffusers.models.attention_processor import Attention

__all__ = [
    "Attention",
    "DDIMScheduler",
    "DDPMScheduler",
    "HeunDiscreteScheduler",
    "PNDMScheduler",
    "UNet2DModel",
    "stable_diffusion_parts",
]


def stable_diffusion_parts() -> tuple[Any, Any]:
    """Give the classes `UNet2DConditionModel` and `AutoencoderKL`.

    They are imported when asked for, since only Stable Diffusion's users need them; Any, since
    diffusers' classes carry no usable types.
    """
    with _unseen("transformers"):
        from diffusers import AutoencoderKL, UNet2DConditionModel
    return UNet2DConditionModel, AutoencoderKL
