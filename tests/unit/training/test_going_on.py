"""A run that goes on, begins anew or starts from others: nothing is lost, nothing passes unseen."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from test_supervised import SOURCE, TINY, write_config
from typer.testing import CliRunner

from n2m_core import checkpoints
from n2m_core.cli.program import app
from n2m_core.errors import CheckpointError, ConfigError, DatasetError
from n2m_core.lineage import DataCredit, TrainingStage
from n2m_core.training import pretrain, runner
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.run_state import goes_on
from n2m_core.training.runner import common_interval, train
from n2m_core.training.starts import stages_of
from n2m_core.training.strict_yaml import digest_of
from n2m_core.training.supervised import Trainer

SHORT = {"steps": 2, "batch_size": 1, "warmup_steps": 1}
CREDIT = DataCredit("drawings", "CC0-1.0", "nobody", 3)


def config_of(tmp_path: Path, **changes: object) -> Path:
    return write_config(tmp_path, {"optimizer": SHORT, "validation": [], **changes})


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    # What a card and a sheet of samples measure takes longer than these runs.
    monkeypatch.setattr(runner, "STATISTIC_CROPS", 4)
    monkeypatch.setattr(pretrain, "SAMPLING_STEPS", 2)
    return tmp_path


def n2m(*words: str) -> tuple[int, str]:
    said = CliRunner().invoke(app, [*words, "--device", "cpu", "--json"])
    return said.exit_code, said.stdout if said.exception is None else str(said.exception)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"class_weights": [1.0, 5.0]}},
        {"optimizer": {**SHORT, "kind": "muon"}},
        {"optimizer": {**SHORT, "steps": 5}},
        {"noise": {"process": "none"}},
        {"seed": 4},
    ],
)
def test_a_run_does_not_go_on_with_another_configuration(
    tmp_path: Path, change: dict[str, object]
) -> None:
    Trainer(load_config(config_of(tmp_path)), RunParams(tmp_path / "run")).save_state()
    other = Trainer(
        load_config(config_of(tmp_path, **change)), RunParams(tmp_path / "run", resume=True)
    )
    with pytest.raises(ConfigError, match=r"another configuration of .tiny.[^\n]*--restart"):
        other.train()


def test_words_for_people_may_change_while_a_run_goes_on(tmp_path: Path) -> None:
    Trainer(load_config(config_of(tmp_path)), RunParams(tmp_path / "run")).save_state()
    source = {
        "kind": "folder", "root": str(tmp_path / "town"), **SOURCE, "attribution": "somebody",
    }  # fmt: skip
    data = {"crop_px": 48, "resolution_range_m": [0.4, 0.6], "sources": [source]}
    stop = {**SHORT, "stop_at": 1}
    path = config_of(tmp_path, title="Better", limits="Known.", data=data, optimizer=stop)
    result = Trainer(load_config(path), RunParams(tmp_path / "run", resume=True)).train()
    assert result.finished


def test_a_digest_is_of_what_is_said_not_of_how_it_is_written(tmp_path: Path) -> None:
    path = config_of(tmp_path)
    config = load_config(path)
    path.write_text("# a word\n" + yaml.safe_dump(yaml.safe_load(path.read_text())))
    assert digest_of(load_config(path)) == digest_of(config)
    assert digest_of(dataclasses.replace(config, seed=9)) != digest_of(config)


def test_nobody_loses_a_run_by_forgetting_to_resume(workplace: Path) -> None:
    path = str(config_of(workplace, optimizer={**SHORT, "steps": 40}))
    assert n2m("train", path, "--max-minutes", "0")[0] == 0
    curve = workplace / "runs" / "tiny" / "curve.csv"
    curve.write_text("step,loss\n")
    code, told = n2m("train", path)
    assert code != 0
    assert "keeps an earlier run of tiny" in told
    assert curve.read_text() == "step,loss\n"
    assert "Give one of" in n2m("train", path, "--resume", "--restart")[1]
    assert n2m("train", path, "--resume", "--max-minutes", "0")[0] == 0
    code, told = n2m("train", path, "--restart", "--max-minutes", "0")
    assert json.loads(told)["steps"] == 1


def test_a_study_begins_anew_where_its_configuration_changed(workplace: Path) -> None:
    steps = {**SHORT, "steps": 40}
    path = str(config_of(workplace, optimizer=steps))
    assert n2m("train", path, "--renew", "--max-minutes", "0")[0] == 0
    assert json.loads(n2m("train", path, "--renew", "--max-minutes", "0")[1])["steps"] == 2
    config_of(workplace, optimizer={**steps, "learning_rate": 2e-3})
    assert "another configuration" in n2m("train", path, "--resume")[1]
    assert json.loads(n2m("train", path, "--renew", "--max-minutes", "0")[1])["steps"] == 1


def test_a_study_begins_anew_where_its_start_changed(workplace: Path) -> None:
    first = str(config_of(workplace, id="first"))
    steps = {**SHORT, "steps": 40}
    assert n2m("train", first)[0] == 0
    second = str(config_of(workplace, id="second", init_from="first", optimizer=steps))
    assert n2m("train", second, "--renew", "--max-minutes", "0")[0] == 0
    before = checkpoints.read_card("second").training.before
    config_of(workplace, id="first", seed=8)
    assert n2m("train", first, "--renew")[0] == 0
    second = str(config_of(workplace, id="second", init_from="first", optimizer=steps))
    # Who merely goes on keeps to the start that the run once had.
    assert json.loads(n2m("train", second, "--resume", "--max-minutes", "0")[1])["steps"] == 2
    assert checkpoints.read_card("second").training.before == before
    assert json.loads(n2m("train", second, "--renew", "--max-minutes", "0")[1])["steps"] == 1
    (stage,) = checkpoints.read_card("second").training.before
    assert stage.sha256 == checkpoints.read_card("first").sha256 != before[0].sha256


def test_a_state_of_an_earlier_version_is_told_as_that(tmp_path: Path) -> None:
    torch.save({"id": "tiny"}, tmp_path / "state.pt")
    with pytest.raises(ConfigError, match="before configurations were noted"):
        goes_on(tmp_path, "tiny", "0")
    assert not goes_on(tmp_path, "tiny", "0", renews=True)


def test_a_run_keeps_what_was_until_it_can_begin(workplace: Path) -> None:
    path = config_of(workplace)
    assert n2m("train", str(path))[0] == 0
    state = workplace / "runs" / "tiny" / "state.pt"
    kept = state.read_bytes()
    shutil.rmtree(workplace / "town")
    assert n2m("train", str(path), "--restart")[0] != 0
    assert state.read_bytes() == kept


def test_measured_weights_are_not_replaced_unasked(workplace: Path) -> None:
    path = str(config_of(workplace))
    assert n2m("train", path)[0] == 0
    card = checkpoints.read_card("tiny")
    file = workplace / "out" / "tiny" / "card.json"
    file.write_text(dataclasses.replace(card, metrics=({"command": "n2m"},)).to_json())
    shutil.rmtree(workplace / "runs")
    before = {each: each.read_bytes() for each in file.parent.iterdir()}
    code, told = n2m("train", path)
    assert code != 0
    assert "measured scores" in told
    assert {each: each.read_bytes() for each in file.parent.iterdir()} == before
    assert n2m("train", path, "--overwrite")[0] == 0
    assert checkpoints.read_card("tiny").metrics == ()


def test_pretraining_is_kept_as_well(workplace: Path) -> None:
    folder = workplace / "runs" / "tiny-denoise"
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"of an earlier run")
    town = load_config(config_of(workplace)).data.sources[0]
    source = {"kind": "images", **SOURCE, "root": f"{town.root}/images"}
    config = {
        "id": "tiny-denoise", "license": "CC0-1.0",
        "data": {"crop_px": 32, "resolution_range_m": [0.5, 0.5], "sources": [source]},
        "network": {"variant": "compact", "overrides": TINY}, "optimizer": SHORT,
    }  # fmt: skip
    (workplace / "denoise.yaml").write_text(yaml.safe_dump(config))
    assert "keeps an earlier run" in n2m("pretrain", "denoise.yaml")[1]
    assert n2m("pretrain", "denoise.yaml", "--restart")[0] == 0
    (stage,) = stages_of("pretrained/tiny-denoise")
    assert (stage.id, stage.steps, stage.data) == ("tiny-denoise", 2, (CREDIT,))


def test_a_card_tells_every_training_that_the_weights_went_through(workplace: Path) -> None:
    train(
        config_of(workplace), RunParams(workplace / "runs" / "first"), checkpoints=workplace / "out"
    )
    first = checkpoints.read_card("tiny")
    path = config_of(workplace, id="second", init_from="tiny")
    train(path, RunParams(workplace / "runs" / "second"), checkpoints=workplace / "out")
    path = config_of(workplace, id="third", init_from="second")
    run = RunParams(workplace / "runs" / "third", max_minutes=0.0)
    assert not train(path, run, checkpoints=workplace / "out").finished
    # What the name stands for today is not what the run began with.
    shutil.rmtree(workplace / "out" / "second")
    shutil.copytree(workplace / "out" / "tiny", workplace / "out" / "second")
    train(path, RunParams(workplace / "runs" / "third", resume=True), checkpoints=workplace / "out")
    card = checkpoints.read_card("third").training
    assert [(stage.id, stage.steps) for stage in card.before] == [("tiny", 2), ("second", 2)]
    assert card.before[0].sha256 == first.sha256
    assert card.steps_in_all == 6
    folder = stages_of(str(workplace / "out" / "tiny"))
    assert folder == stages_of("tiny")
    assert folder[0].config_sha256 == first.training.config_sha256
    assert card.credits == (CREDIT,)
    assert card.may_be_of(digest_of(load_config(path)))
    assert not card.may_be_of(digest_of(load_config(path, seed=8)))


def test_credits_are_told_once_and_the_last_training_comes_first() -> None:
    more = dataclasses.replace(CREDIT, tiles=9)
    roads = DataCredit("roads", "ODbL", "somebody", 4)
    record = dataclasses.replace(
        checkpoints.read_card("n2m-forest").training,
        data=(roads, CREDIT),
        before=(TrainingStage("a", "a.yaml", 7, (more,)),),
    )
    assert record.credits == (roads, more)


def test_weights_of_others_bring_no_stages(tmp_path: Path) -> None:
    assert stages_of(None) == stages_of("google/ddpm-church") == stages_of("w.pth") == ()
    assert stages_of(str(tmp_path)) == ()
    (tmp_path / "pretraining.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="not what n2m pretrain writes"):
        stages_of(str(tmp_path))


def town(tmp_path: Path, **changes: object) -> dict[str, object]:
    root = str(tmp_path / "town")
    return {"name": "town", "dataset": "folder", "root": root, "every": 1, **changes}


def test_a_validation_that_could_never_run_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every is 0"):
        load_config(config_of(tmp_path, validation=[town(tmp_path, every=0)]))
    both = [town(tmp_path, name="a"), town(tmp_path, name="b", every=2)]
    with pytest.raises(ConfigError, match="every 1, 2 steps"):
        common_interval(load_config(config_of(tmp_path, validation=both)).validation)
    path = config_of(tmp_path, validation=[town(tmp_path, only=["nowhere"])])
    with pytest.raises(DatasetError, match="starts with nowhere; the first is 0"):
        train(path, RunParams(tmp_path / "run"), checkpoints=tmp_path / "out")
    assert not (tmp_path / "run" / "state.pt").exists()
