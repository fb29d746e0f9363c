"""The command `n2m` itself: its subcommands, and how mistakes are told."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Annotated

import typer

from n2m_core import __version__
from n2m_core.cli import (
    catalogue,
    fusing,
    learning,
    log,
    maps,
    refining,
    review_files,
    scores,
    trajectories,
)
from n2m_core.errors import CancelledError, N2MError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit code after SIGTERM."""

_log = logging.getLogger(__name__)

app = typer.Typer(
    name="n2m",
    help="Diffusion on satellite imagery: maps, change, fusion, trajectories, scores.",
    epilog="Example: n2m segment tile.tif --checkpoint n2m-buildings --out map.tif",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("samples", short_help="Write the sample scenes.", epilog=catalogue.SAMPLES_EXAMPLE)(
    catalogue.samples
)
app.command(
    "checkpoints", short_help="List the trained weights.", epilog=catalogue.CHECKPOINTS_EXAMPLE
)(catalogue.checkpoints)
app.command("segment", short_help="Map the classes of one image.", epilog=maps.SEGMENT_EXAMPLE)(
    maps.segment
)
app.command(
    "change", short_help="Map what changed between two images.", epilog=maps.CHANGE_EXAMPLE
)(maps.change)
app.command(
    "trajectory", short_help="Show a map forming out of noise.", epilog=trajectories.EXAMPLE
)(trajectories.trajectory)
app.command("fuse", short_help="Make the fine image of a coarse date.", epilog=fusing.EXAMPLE)(
    fusing.fuse
)
scores.app.command("fusion", epilog=fusing.EVALUATE_EXAMPLE)(fusing.evaluate_fusion)
app.command("refine", short_help="Sharpen the boundaries of a rough map.", epilog=refining.EXAMPLE)(
    refining.refine
)
app.add_typer(scores.app, name="evaluate")
app.add_typer(review_files.app, name="review")
app.command(
    "pretrain",
    short_help="Teach a network to denoise unlabelled images.",
    epilog=learning.PRETRAIN_EXAMPLE,
)(learning.pretrain)
app.command(
    "train", short_help="Train weights from a configuration.", epilog=learning.TRAIN_EXAMPLE
)(learning.train)


def _print_version(is_asked: bool) -> None:
    """Print the version and stop."""
    if is_asked:
        typer.echo(f"n2m {__version__}")
        raise typer.Exit


@app.callback()
def begin(
    is_debug: Annotated[
        bool, typer.Option("--debug", help="Show the log, with tracebacks, on stderr.")
    ] = False,
    is_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Set up the log before any command runs."""
    log.set_up(is_debug=is_debug)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 success, 1 a mistake that is told in one sentence, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.

    Args:
        arguments: words after `n2m`; those of the process when not given.
    """
    sys.excepthook = _tell_defect
    signal.signal(signal.SIGTERM, _stop)
    command = typer.main.get_command(app)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="n2m")
    except CancelledError:
        sys.exit(_interrupted())
    except N2MError as error:
        _log.debug("%s", error, exc_info=error)
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            _interrupted()
        raise


def _interrupted() -> int:
    """Say that the work was stopped, and give the exit code."""
    typer.echo("\nStopped. What was there before is as it was.", err=True)
    return INTERRUPTED


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Leave on SIGTERM the orderly way, so that temporary files are removed."""
    sys.exit(TERMINATED)


def _tell_defect(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tell of a defect of ours in one sentence; the traceback goes to the log."""
    if issubclass(kind, MemoryError):
        typer.echo("Error: there is not enough memory; use a smaller image.", err=True)
    else:
        typer.echo(
            f"Error: something went wrong that should not have ({kind.__name__}: {error}). "
            f"The details are in {log.log_path()}; please report them.",
            err=True,
        )
    _log.debug("defect", exc_info=(kind, error, trace))
