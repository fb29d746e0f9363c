"""Weights that fuse on the command line: trained, listed, kept apart from those that map."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import Command

TRAINING = """
id: tiny-fusion
title: Tiny
task: fuse
resolution_m: 30.0
license: CC0-1.0
limits: drawings
network: {design: sa-stf, width: 8, multipliers: [1, 2], groups: 4, shrink: 2}
data:
  crop_px: 16
  scales: [8]
  sources:
    - {kind: farmland, name: farms, count: 1, size_px: 32, licence: CC0-1.0, attribution: nobody}
optimizer: {steps: 2, batch_size: 1}
inference: {steps: 3, window_px: 16}
"""


def test_fusion_weights_are_trained_and_listed(
    n2m: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "made"))
    Path("tiny.yaml").write_text(TRAINING, encoding="utf-8")
    said = n2m("train", "tiny.yaml", "--seed", "5", "--device", "cpu", "--json")
    assert said.code == 0, said.err
    assert (said.json["checkpoint"], said.json["finished"]) == ("tiny-fusion-seed5", True)
    (card,) = n2m("checkpoints", "--json").json["checkpoints"]
    assert (card["id"], card["task"], card["steps"]) == ("tiny-fusion-seed5", "fuse", 3)
    assert "tiny-fusion-seed5" in n2m("checkpoints").out
    Path("x.png").write_bytes(b"")
    refused = n2m("segment", "x.png", "--checkpoint", "tiny-fusion-seed5", "--out", "m.tif")
    assert refused.code != 0
    assert "Traceback" not in refused.err


def test_a_mistake_in_a_fusion_configuration_is_named(n2m: Command) -> None:
    Path("odd.yaml").write_text(TRAINING.replace("crop_px: 16", "crop_px: 15"), encoding="utf-8")
    said = n2m("train", "odd.yaml", "--device", "cpu")
    assert said.code != 0
    assert "data.crop_px is 15; a multiple of 4 is wanted" in said.err
