"""What pretraining is worth: the same training from pretrained and from random weights.

    python -m benchmarks.pretraining [--steps 300] [--shares 0.1,0.3,1] [--seeds 1,2] ...

First `n2m pretrain configs/pretrain/n2m-denoise.yaml`. Then every share of the labels, seed and
start is one training of `configs/peers/n2m-buildings-short.yaml` for the same steps, scored on
places that neither stage has seen. A run that was broken off goes on where it stood, a finished one
is not trained again, and neither is one that the file has from an earlier call with the same
configuration, wherever that was; `--max-minutes` ends the work early, `--report` trains nothing.
Writes `benchmarks/pretraining.json` with scores and learning curves of what is finished and how
many directions the features of both starts take, and beside it a picture of what the pretrained
network makes of noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.__main__ import machine, write
from benchmarks.feature_rank import feature_ranks
from benchmarks.peers import SETS, digest, scored
from benchmarks.scores import Measurement
from n2m_core import checkpoints
from n2m_core.atomic import write_bytes
from n2m_core.checkpoints import CARD, CheckpointCard
from n2m_core.models.building import build
from n2m_core.models.noise2map import Noise2Map
from n2m_core.models.storing import WEIGHTS, load_network
from n2m_core.places import checkpoints_root
from n2m_core.training.config import TrainConfig, ValidationConfig, load_config
from n2m_core.training.curves import read_curve
from n2m_core.training.loop import RunParams
from n2m_core.training.pretrain import SAMPLES_FILE, PretrainConfig
from n2m_core.training.run_state import STATE
from n2m_core.training.runner import run_exercises
from n2m_core.training.starts import PRETRAINING as RECORD
from n2m_core.training.strict_yaml import digest_of, read_strict
from n2m_core.training.supervised import Trainer

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "pretraining.json"
CONFIG = HERE.parent / "configs" / "peers" / "n2m-buildings-short.yaml"
VALIDATION = ValidationConfig("catanduanes", "xyz", "buildings/catanduanes", every=1)
"""Scored along the way, for the learning curves; its place is no source of the configuration."""

SHIPPED = "n2m-buildings"
"""A network after a long training, beside which the features of both starts are shown."""

Json = dict[str, Any]
Start = Literal["random", "pretrained"]
STARTS: tuple[Start, ...] = ("random", "pretrained")


@dataclass(frozen=True)
class Study:
    """What to train.

    Attributes:
        config: training that every run repeats.
        pretrained: folder that `n2m pretrain` wrote.
        folder: receives the checkpoints, and the state of the runs.
        steps: of every run.
        shares: of the labels, 0..1.
        seeds: of weights, crops and chosen labels.
        validations: how many points the curve of scores has.
        device: where to train.
        former: runs that the study's file has of the same configuration and starts.
    """

    config: Path
    pretrained: Path
    folder: Path
    steps: int
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    validations: int
    device: str
    former: tuple[Json, ...] = ()

    def runs(self) -> list[TrainConfig]:
        """The configuration of every run: seed by seed, so that whole comparisons end first."""
        own = load_config(self.config)
        every = max(self.steps // self.validations, 1)
        key = record(self.pretrained)["sha256"][:8]
        names = {"random": "random", "pretrained": f"pretrained-{key}"}
        return [
            dataclasses.replace(
                own,
                id=f"{own.id}-{names[start]}-{100 * share:g}-of-100-{self.steps}-seed{seed}",
                seed=seed,
                label_share=share,
                init_from=str(self.pretrained) if start == "pretrained" else None,
                optimizer=dataclasses.replace(own.optimizer, steps=self.steps),
                validation=(dataclasses.replace(VALIDATION, every=every),),
            )
            for seed in self.seeds
            for share in self.shares
            for start in STARTS
        ]

    def finished(self, config: TrainConfig) -> CheckpointCard | None:
        """The card of a run, None where it has not come to its last step."""
        if not (self.folder / config.id / CARD).is_file():
            return None
        card = checkpoints.read_card(config.id, root=self.folder)
        is_whole = card.training.steps == self.steps
        return card if is_whole and card.training.may_be_of(digest_of(config)) else None

    def measured_before(self, config: TrainConfig) -> Json | None:
        """What the study's file has of a run."""
        wanted = ("pretrained" if config.init_from else "random", config.label_share, config.seed)
        known = (run for run in self.former if (run["start"], run["share"], run["seed"]) == wanted)
        return next(known, None)

    def train(self, config: TrainConfig, minutes: float | None) -> None:
        """Train a run, from where it stood if it was begun."""
        state = self.folder / "runs" / config.id
        run = RunParams(state, True, minutes, self.device, renews=True)
        trainer = Trainer(config, run)
        run_exercises((trainer.exercise,), trainer, self.config, self.folder)
        if self.finished(config):
            (state / STATE).unlink(missing_ok=True)  # a hundred megabytes that nothing needs now


def described(
    study: Study, config: TrainConfig, card: CheckpointCard, sets: Sequence[Json]
) -> Json:
    """What one run was and came to."""
    folder = study.folder / config.id
    return {
        "start": "pretrained" if config.init_from else "random",
        "share": config.label_share,
        "seed": config.seed,
        "tiles": sum(credit.tiles for credit in card.training.data),
        "minutes": card.training.minutes,
        "sets": list(sets),
        "curve": numbers(folder / "curve.csv", ("step", "loss")),
        "validation": numbers(
            folder / "validation.csv", ("step", f"{VALIDATION.name}_f1", f"{VALIDATION.name}_iou")
        ),
    }


def numbers(path: Path, columns: Sequence[str]) -> list[list[float]]:
    """Some columns of a learning curve."""
    return [[float(row[name]) for name in columns] for row in read_curve(path)]


def measured(study: Study, sets: Sequence[Measurement]) -> Json:
    """Score every finished run."""
    runs = []
    for config in study.runs():
        card, before = study.finished(config), study.measured_before(config)
        if card is not None:
            runs.append(described(study, config, card, scored([card], sets, study.folder)))
        elif before is not None:
            runs.append(before)
    return {
        "machine": machine(),
        "config": f"{study.config.parent.name}/{study.config.name}",
        "config_sha256": digest(study.config),
        "pretraining": record(study.pretrained),
        "steps": study.steps,
        "planned": len(study.runs()),
        "validated_on": VALIDATION.root,
        "ranks": ranks(study),
        "runs": runs,
    }


def ranks(study: Study) -> list[Json]:
    """How many directions the features of both starts take, and those of a network that ships."""
    pretrained = load_network(study.pretrained)
    torch.manual_seed(study.seeds[0])
    networks = {"pretrained": pretrained, "random": build(pretrained.config)}
    if (checkpoints_root() / SHIPPED / CARD).is_file():
        networks[SHIPPED] = load_network(checkpoints_root() / SHIPPED)
    return [
        {"network": name, "depths": feature_ranks(network)}
        for name, network in networks.items()
        if isinstance(network, Noise2Map)
    ]


def record(pretrained: Path) -> Json:
    """What `n2m pretrain` noted beside its weights, and their checksum."""
    noted: Json = json.loads((pretrained / RECORD).read_text(encoding="utf-8"))
    return noted | {"sha256": hashlib.sha256((pretrained / WEIGHTS).read_bytes()).hexdigest()}


def is_of_today(pretrained: Path) -> bool:
    """Whether its configuration as it stands made a pretrained network, as far as was noted."""
    noted = record(pretrained)
    config = HERE.parent / "configs" / noted["config"]
    if noted.get("config_sha256") is None or not config.is_file():
        return True
    return bool(noted["config_sha256"] == digest_of(read_strict(config, PretrainConfig)))


def former_runs(config: Path, pretrained: Path, steps: int) -> tuple[Json, ...]:
    """Runs of the study's file with this configuration and steps; from these weights or random."""
    if not RESULTS.is_file():
        return ()
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    if (results["config_sha256"], results["steps"]) != (digest(config), steps):
        return ()
    is_same = results["pretraining"]["sha256"] == record(pretrained)["sha256"]
    return tuple(run for run in results["runs"] if is_same or run["start"] == "random")


def train_missing(study: Study, max_minutes: float | None, tell: Callable[[str], None]) -> bool:
    """Train what is not finished; False when time was up first."""
    until = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    for config in study.runs():
        if study.finished(config) or study.measured_before(config):
            continue
        left = None if until is None else (until - time.monotonic()) / 60
        if left is not None and left <= 0:
            return False
        tell(f"{config.id} ...")
        study.train(config, left)
    return all(study.finished(each) or study.measured_before(each) for each in study.runs())


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretraining")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--pretrained", type=Path, default=Path("pretrained") / "n2m-denoise")
    parser.add_argument("--folder", type=Path, default=Path("build") / "pretraining")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--shares", default="0.1,0.3,1", help="of the labels")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--validations", type=int, default=3, help="points of the score's curve")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-minutes", type=float, help="stop so; the next call goes on")
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Train what is missing, score what is finished; 1 when there is nothing to score."""
    asked = parse(words)
    if not (asked.pretrained / RECORD).is_file():
        print(f"{asked.pretrained} is no pretrained network; run first: n2m pretrain "
              "configs/pretrain/n2m-denoise.yaml")  # fmt: skip
        return 1
    if not is_of_today(asked.pretrained):
        print(f"{asked.pretrained} was made by another configuration; run first: n2m pretrain "
              "configs/pretrain/n2m-denoise.yaml --renew")  # fmt: skip
        return 1
    study = Study(
        asked.config,
        asked.pretrained,
        asked.folder,
        asked.steps,
        tuple(map(float, asked.shares.split(","))),
        tuple(map(int, asked.seeds.split(","))),
        asked.validations,
        str(checkpoints.choose_device(asked.device)),
        former_runs(asked.config, asked.pretrained, asked.steps),
    )
    is_whole = asked.report or train_missing(study, asked.max_minutes, print)
    sets = [each for each in SETS if each.task == load_config(study.config).task]
    results = measured(study, sets)
    done, planned = len(results["runs"]), results["planned"]
    if not done:
        print(f"None of {planned} runs is finished; nothing was written.")
        return 1
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    samples = study.pretrained / SAMPLES_FILE
    if samples.is_file():
        write_bytes(RESULTS.with_suffix(".png"), samples.read_bytes())
    print(f"Written: {RESULTS.name}, {done} of {planned} runs{'' if is_whole else '; call again'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
