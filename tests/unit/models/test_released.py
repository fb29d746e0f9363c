from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from n2m_core.errors import CheckpointError
from n2m_core.models.backbone import adopted_settings, build_backbone, open_backbone
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.models.released import load_released

TINY = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
THEIRS = {"stem": "input_conv", "head": "output_conv", "backbone": ""}
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def paper_network(seed: int, bands: int = 3, classes: int = 2) -> Noise2Map:
    torch.manual_seed(seed)
    return Noise2Map(NetworkConfig("paper", bands, classes, overrides=TINY)).eval()


def their_state(model: Noise2Map) -> dict[str, Tensor]:
    """The weights under the names that the authors' files use."""
    state = {}
    for name, value in model.state_dict().items():
        part, rest = name.split(".", 1)
        state[f"{THEIRS[part]}.{rest}".removeprefix(".")] = value
    return state


def older(name: str) -> str:
    for new, old in OLD.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


@pytest.mark.parametrize(
    "stored",
    [
        lambda state: state,
        lambda state: {f"module.{k}": v for k, v in state.items()},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {f"_orig_mod.module.{k}": v for k, v in state.items()}},
        lambda state: {older(k): v for k, v in state.items()},
    ],
    ids=["bare", "parallel", "beside other things", "compiled", "older attention"],
)
def test_the_authors_files_load(
    tmp_path: Path, stored: Callable[[dict[str, Tensor]], dict[str, object]]
) -> None:
    theirs, ours = paper_network(1), paper_network(2)
    torch.save(stored(their_state(theirs)), tmp_path / "best_model.pth")
    load_released(ours, tmp_path / "best_model.pth")
    x_t, t = torch.rand(1, 3, 16, 16), torch.tensor([999])
    torch.testing.assert_close(ours(x_t, t), theirs(x_t, t))


def test_names_and_shapes_that_differ_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state = their_state(paper_network(1))
    state["input_upscaling.1.bias"] = state.pop("output_conv.bias")
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors \(head.bias\).*input_upscaling"):
        load_released(paper_network(2), path)
    torch.save(their_state(paper_network(1)), path)
    with pytest.raises(CheckpointError, match=r"\[3, 3, 3, 3\], wanted \[3, 6, 3, 3\]"):
        load_released(paper_network(2, bands=6), path)
    compact = Noise2Map(NetworkConfig("compact", 3, 2, overrides=TINY))
    with pytest.raises(CheckpointError, match=r"set network\.variant to paper"):
        load_released(compact, path)


class Harmful:
    """Its pickle would create a file when it is read without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.path),)  # type: ignore[return-value]


def test_files_that_hold_more_than_weights_are_refused(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    torch.save({"input_conv.weight": Harmful(mark)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(mark)))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(CheckpointError, match="holds more than weights"):
            load_released(paper_network(1), tmp_path / name)
    assert not mark.exists()
    torch.save([1, 2], tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_released(paper_network(1), tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="can't be read"):
        load_released(paper_network(1), tmp_path / "none.pth")


def cached(cache: Path, owner: str, name: str, subfolder: str) -> Path:
    """The folder where Hugging Face's cache keeps a repository's subfolder."""
    root = cache / f"models--{owner}--{name}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0" * 40)
    return root / "snapshots" / ("0" * 40) / subfolder


@pytest.mark.parametrize("is_safe", [True, False], ids=["safetensors", "state file"])
def test_a_repository_opens_from_its_cache(tmp_path: Path, is_safe: bool) -> None:
    backbone = build_backbone("paper", TINY)
    folder = cached(tmp_path, "someone", "nets", "aid-10k")
    backbone.unet.save_pretrained(folder, safe_serialization=is_safe)
    again = open_backbone("someone/nets/aid-10k", cache=tmp_path, is_offline=True)
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    assert adopted_settings(again, {}, "x")["block_out_channels"] == [8, 16]
    with pytest.raises(CheckpointError, match="layers_per_block = 1, the configuration asks for 2"):
        adopted_settings(again, {"layers_per_block": 2}, "x")


def test_a_repository_out_of_reach_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="someone/nets can't be loaded from Hugging Face"):
        open_backbone("someone/nets", cache=tmp_path, is_offline=True)


@pytest.mark.parametrize("name", ["nowhere", "./folder/none", "a/../b", "/none/at/all"])
def test_names_that_are_neither_folder_nor_repository_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor a Hugging Face repository"):
        open_backbone(name)
