from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny, segmenter
from tiny_multitask import NAME, both_network, save_both

from n2m_core import checkpoints, places
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.fusion.cards import FusionCard, list_fusion_cards, load_fusion
from n2m_core.models import storing

SHIPPED = places.checkpoints_root()
SHIPPED_IDS = sorted({card.id for card in checkpoints.list_cards(SHIPPED)})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_tiny(tmp_path, segmenter())
    return tmp_path


def test_round_trip_keeps_card_and_network(root: Path) -> None:
    original = segmenter()
    loaded = checkpoints.load("tiny-buildings", device="cpu", root=root)
    assert loaded.card.classes == original.card.classes
    assert loaded.card.training == original.card.training
    assert loaded.card == checkpoints.cards_from_text(loaded.card.to_json(), "copy")[0]
    x_t, t = torch.rand(1, 3, 32, 32) * 2 - 1, torch.tensor([40])
    torch.testing.assert_close(loaded.model(x_t, t), original.model(x_t, t), atol=0.05, rtol=0.02)
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_cards_are_listed_by_id(root: Path) -> None:
    assert [card.id for card in checkpoints.list_cards(root)] == ["tiny-buildings"]
    assert checkpoints.list_cards(root / "none") == []


def test_unknown_id_names_the_known_ones(root: Path) -> None:
    with pytest.raises(CheckpointError, match="choose one of tiny-buildings"):
        checkpoints.load("n2m-forests", root=root)
    with pytest.raises(CheckpointError, match="holds none yet"):
        checkpoints.load("x", root=root / "empty")


def test_an_id_can_not_leave_the_folder(root: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        checkpoints.load("../" + root.name + "/tiny-buildings", root=root)


def test_damaged_weights_are_refused(root: Path) -> None:
    path = root / "tiny-buildings" / storing.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoints.load("tiny-buildings", root=root)
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        checkpoints.load("tiny-buildings", root=root)


def test_weights_of_another_network_are_refused(root: Path) -> None:
    path = root / "tiny-buildings" / storing.CONFIG
    config = json.loads(path.read_text())
    config["overrides"]["layers_per_block"] = 2
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="different networks"):
        checkpoints.load("tiny-buildings", root=root)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "x"}'])
def test_a_damaged_card_is_refused(root: Path, text: str) -> None:
    (root / "tiny-buildings" / checkpoints.CARD).write_text(text)
    with pytest.raises(CheckpointError, match="not a checkpoint card"):
        checkpoints.list_cards(root)


def test_a_card_with_another_checksum_is_not_written(tmp_path: Path) -> None:
    model = segmenter()
    weights = storing.fp16_weights(model.model)
    with pytest.raises(CheckpointError, match="other weights"):
        checkpoints.save_checkpoint(tmp_path, model.model, model.card, weights)
    assert list(tmp_path.iterdir()) == []


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ParameterError, match="no device 'cuda:99'"):
        checkpoints.choose_device("cuda:99")
    with pytest.raises(ParameterError, match="no device 'abacus'"):
        checkpoints.choose_device("abacus")
    assert checkpoints.choose_device("cpu").type == "cpu"


def test_root_can_be_named_by_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(root))
    assert checkpoints.read_card("tiny-buildings").id == "tiny-buildings"


def test_a_checkpoint_of_two_tasks_has_a_card_and_a_network_for_each(tmp_path: Path) -> None:
    save_both(tmp_path)
    cards = checkpoints.list_cards(tmp_path)
    assert [(card.id, card.task) for card in cards] == [(NAME, "segment"), (NAME, "change")]
    assert cards == list(checkpoints.cards_from_text(checkpoints.cards_text(cards), "copy"))
    whole = both_network()
    for task, bands in (("segment", 3), ("change", 6)):
        loaded = checkpoints.load(NAME, task, device="cpu", root=tmp_path)  # type: ignore[arg-type]
        assert loaded.card.task == task
        assert loaded.model.config.in_channels == bands
        x_t, t = torch.rand(1, bands, 32, 32) * 2 - 1, torch.tensor([40])
        torch.testing.assert_close(loaded.model(x_t, t), whole(x_t, t), atol=0.05, rtol=0.02)


def test_a_checkpoint_of_two_tasks_wants_one_named(tmp_path: Path, root: Path) -> None:
    save_both(tmp_path)
    with pytest.raises(CheckpointError, match="name one of segment, change"):
        checkpoints.load(NAME, device="cpu", root=tmp_path)
    # One of a single task is given whatever is named: the caller says what does not fit.
    assert checkpoints.read_card("tiny-buildings", "change", root=root).task == "segment"


@pytest.mark.parametrize("checkpoint", SHIPPED_IDS)
def test_shipped_checkpoints_are_whole_small_and_measured(checkpoint: str) -> None:
    for card in checkpoints.read_cards(checkpoint, root=SHIPPED):
        check_shipped(checkpoints.load(checkpoint, card.task, device="cpu", root=SHIPPED))


@pytest.mark.parametrize("card", list_fusion_cards(SHIPPED), ids=lambda card: card.id)
def test_shipped_fusion_networks_are_whole_small_and_measured(card: FusionCard) -> None:
    network = load_fusion(card.id, device="cpu", root=SHIPPED).model
    assert (SHIPPED / card.id / storing.WEIGHTS).stat().st_size <= 25 * 2**20
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert card.metrics, "a shipped checkpoint states what it was measured at"
    assert all(entry["command"].startswith("n2m evaluate") for entry in card.metrics)


def passes(card: checkpoints.CheckpointCard) -> int:
    """How often the network sees a tile: each date is one, a guided step of a refiner takes two."""
    if card.task == "refine":
        assert card.sampling_steps is not None and card.sampling_draws is not None
        return card.sampling_steps * card.sampling_draws * (1 if card.guidance == 1 else 2)
    return 2 if "shared by both dates" in card.backbone else 1


def check_shipped(loaded: checkpoints.LoadedModel) -> None:
    card = loaded.card
    assert (SHIPPED / card.id / storing.WEIGHTS).stat().st_size <= 25 * 2**20
    assert card.parameters == sum(p.numel() for p in loaded.model.parameters())
    assert card.gflop_per_tile <= 12 * passes(card)
    assert card.metrics, "a shipped checkpoint states what it was measured at"
    assert all(entry["command"].startswith("n2m evaluate") for entry in card.metrics)
    assert len({c.color for c in card.classes}) == len(card.classes)
