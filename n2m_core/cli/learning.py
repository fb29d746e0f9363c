"""`n2m train` and `n2m pretrain`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from n2m_core.cli import options
from n2m_core.cli.log import show_information
from n2m_core.cli.output import Output

if TYPE_CHECKING:
    from n2m_core.training.loop import RunParams
    from n2m_core.training.pretrain import PretrainSummary
    from n2m_core.training.runner import TrainSummary

TRAIN_EXAMPLE = "Example: n2m train configs/n2m-buildings.yaml --overwrite --max-minutes 60"
PRETRAIN_EXAMPLE = "Example: n2m pretrain configs/pretrain/n2m-denoise.yaml --max-minutes 60"
PRETRAINED = Path("pretrained")
"""Folder below the working folder that receives pretrained networks."""
RUNS = Path("runs")
"""Folder below the working folder that keeps the state of runs, one folder a checkpoint."""


Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the state that an earlier run saved.")
]
Renew = Annotated[
    bool,
    typer.Option(
        "--renew", help="Like --resume, but begin anew where configuration or start has changed."
    ),
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Forget the state that an earlier run saved.")
]
MaxMinutes = Annotated[
    float | None,
    typer.Option("--max-minutes", metavar="M", min=0.0, help="Stop after so long, and export."),
]


def train(
    config: Annotated[Path, typer.Argument(help="A YAML file; see configs/.")],
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Another seed; run and checkpoint are then called ID-seedN.",
        ),
    ] = None,
    is_resumed: Resume = False,
    is_renewed: Renew = False,
    is_restarted: Restart = False,
    is_overwriting: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace weights whose card has measured scores."),
    ] = False,
    max_minutes: MaxMinutes = None,
    device: options.Device = "auto",
    is_json: options.Json = False,
) -> None:
    """Train weights from a configuration, and write the checkpoint with its card and curves."""
    output = Output(is_json=is_json)
    show_information()

    from n2m_core import places
    from n2m_core.training.kinds import kind_of

    kind = kind_of(config)
    name = kind.load(config, seed=seed).id
    root = places.checkpoints_root()
    if not is_overwriting:
        _keep_measured(root / name)
    _keep_state(name, is_resumed=is_resumed, is_renewed=is_renewed, is_restarted=is_restarted)
    with _run(name, is_resumed, is_renewed, max_minutes, device) as run:
        summary = kind.train(config, run, checkpoints=root, seed=seed, progress=output.progress)
    if run.group.is_first:
        _report(output, name, summary.checkpoint, summary)


def pretrain(
    config: Annotated[Path, typer.Argument(help="A YAML file; see configs/pretrain/.")],
    is_resumed: Resume = False,
    is_renewed: Renew = False,
    is_restarted: Restart = False,
    max_minutes: MaxMinutes = None,
    device: options.Device = "auto",
    is_json: options.Json = False,
) -> None:
    """Teach a network to denoise unlabelled images; training starts from it by init_from."""
    output = Output(is_json=is_json)
    show_information()

    from n2m_core.training.pretrain import PretrainConfig
    from n2m_core.training.pretrain import pretrain as run_pretraining
    from n2m_core.training.strict_yaml import read_strict

    wanted = read_strict(config, PretrainConfig)
    name = wanted.id
    _keep_state(name, is_resumed=is_resumed, is_renewed=is_renewed, is_restarted=is_restarted)
    with _run(name, is_resumed, is_renewed, max_minutes, device) as run:
        summary = run_pretraining(config, run, out=PRETRAINED, progress=output.progress)
    if run.group.is_first:
        _report(output, wanted.id, summary.folder, summary)


def _keep_measured(folder: Path) -> None:
    """Refuse to train over weights that somebody measured: new ones have no scores at first.

    Raises:
        ConfigError: the card in the folder has scores.
        CheckpointError: the card can't be read.
    """
    from n2m_core import checkpoints
    from n2m_core.errors import ConfigError
    from n2m_core.fusion.cards import read_fusion_card

    root, name = folder.parent, folder.name
    if name in checkpoints.checkpoint_ids(root, is_fusion=True):
        is_measured = bool(read_fusion_card(name, root=root).metrics)
    elif name in checkpoints.checkpoint_ids(root, is_fusion=False):
        is_measured = any(card.metrics for card in checkpoints.read_cards(name, root=root))
    else:
        return
    if is_measured:
        raise ConfigError(
            f"{folder} holds weights with measured scores, which training would replace. Give "
            "--overwrite to do so, or set N2M_CHECKPOINTS to another folder."
        )


def _keep_state(name: str, *, is_resumed: bool, is_renewed: bool, is_restarted: bool) -> None:
    """Refuse to lose the state of an earlier run.

    Raises:
        ConfigError: there is one, and nobody said what to do with it.
        ParameterError: more than one thing is to be done with it.
    """
    from n2m_core.errors import ConfigError, ParameterError
    from n2m_core.training.run_state import STATE

    if sum((is_resumed, is_renewed, is_restarted)) > 1:
        raise ParameterError("Give one of --resume, --renew and --restart.")
    folder = RUNS / name
    if (folder / STATE).is_file() and not (is_resumed or is_renewed or is_restarted):
        raise ConfigError(
            f"{folder} keeps an earlier run of {name}. Go on with it by --resume, or begin anew by "
            "--restart."
        )


@contextlib.contextmanager
def _run(
    name: str, is_resumed: bool, is_renewed: bool, max_minutes: float | None, device: str
) -> Iterator[RunParams]:
    """Say where a run keeps its state, for how long, where and with whom it runs."""
    from n2m_core.checkpoints import choose_device
    from n2m_core.training.loop import RunParams
    from n2m_core.training.processes import joined

    with joined(str(choose_device(device))) as (group, own):
        goes_on = is_resumed or is_renewed
        yield RunParams(RUNS / name, goes_on, max_minutes, own, group, renews=is_renewed)


def _report(
    output: Output, name: str, folder: Path, summary: TrainSummary | PretrainSummary
) -> None:
    """Print how far a run came and what it wrote."""
    payload = {
        "checkpoint": name,
        "folder": str(folder),
        "steps": summary.steps,
        "minutes": round(summary.minutes, 2),
        "finished": summary.finished,
    }
    state = "finished" if summary.finished else "stopped by time; --resume goes on"
    line = f"{name}: {summary.steps} steps in {summary.minutes:.1f} minutes, {state}"
    output.finish(payload, [line, f"Wrote {folder}"], ())
