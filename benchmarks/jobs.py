"""What decides each study of the models, what it has to train, and what it can't do without.

`python -m benchmarks.models` brings them up to date.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from n2m_core.places import checkpoints_root
from n2m_core.training.strict_yaml import read_entry

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONFIGS = ROOT / "configs"
CORE = ROOT / "n2m_core"
PEERS = Path("build") / "peers"
PRETRAINED = Path("pretrained") / "n2m-denoise"
WILDFIRE = Path("build") / "wildfire"
SEEDS = (1, 2)
CARD = "card.json"
REFINERS = {
    "idgbr-buildings": "idgbr-buildings.yaml",
    "one-pass-buildings": "refine/one-pass-buildings.yaml",
}
"""Configurations of the refiners that are compared, by the checkpoints that they make."""
ROUGH = ("unet-buildings-seed1", "segformer-buildings-seed1")
"""Networks of the study of peers whose maps are refined."""
SHARED = "n2m-multitask"

Command = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """How a study is brought up to date.

    Attributes:
        reads: files that decide what it measures, beside its own script.
        words: of its script.
        training: commands that train what it measures, each passed over when there is nothing left
            to train.
        lacks: weights that the study measures and that are not here; with any of them lacking it
            is left as it is, for what was measured of them would be lost.
        module: its script, where that is not called like the study.
        has_data: whether it reads real imagery.
    """

    reads: Callable[[], Iterable[Path]]
    words: Command = ()
    training: Callable[[], Iterable[Command]] = tuple
    lacks: Callable[[], Iterable[str]] = tuple
    module: str = ""
    has_data: bool = True

    def missing(self) -> list[str]:
        """What keeps the study from being measured here."""
        data = ["the real imagery ($N2M_DATA)"]
        has_data = bool(os.environ.get("N2M_DATA")) or not self.has_data
        return [*([] if has_data else data), *self.lacks()]


def installed(*names: str) -> list[Path]:
    """Cards of the registry, those that are there; a card holds the checksum of its weights."""
    cards = (checkpoints_root() / name / CARD for name in names)
    return [card for card in cards if card.is_file()]


def scoring() -> list[Path]:
    """What reads a set, makes its maps and scores them."""
    return [
        *of_tasks("evaluate", "tally", "mapping", "segment", "change", "inference", "lattice"),
        *(CORE / name for name in ("normalize.py", "tiling.py")),
        *folders("datasets", "diffusion", "metrics", "models", "models/peers"),
    ]


def refining() -> list[Path]:
    """What refines maps, beside what scores them."""
    names = ("compare_refiners", "denoising", "evaluate_refine", "frequency", "guided", "one_pass")
    others = (CORE / f"{name}.py" for name in ("corruption", "guided_filter"))
    return [*of_tasks(*names, "refine"), *others]


def fusing() -> list[Path]:
    """What fuses images and scores it."""
    return [
        *of_tasks("evaluate_fusion", "fuse", "fusion_methods"),
        *folders("fusion", "metrics", "models"),
    ]


def of_tasks(*names: str) -> list[Path]:
    """Modules of `n2m_core.tasks`."""
    return [CORE / "tasks" / f"{name}.py" for name in names]


def folders(*names: str) -> list[Path]:
    """All modules of some packages of the core."""
    return [path for name in names for path in sorted((CORE / name).glob("*.py"))]


def refiners() -> dict[str, Path]:
    """Configurations of the refiners."""
    return {name: CONFIGS / path for name, path in REFINERS.items()}


def fusers() -> dict[str, Path]:
    """Configurations of the fusion networks: the one that ships, the ablation, the learned peer."""
    every = (CONFIGS / "sastf-farmland.yaml", *sorted((CONFIGS / "sastf").glob("*.yaml")))
    return {path.stem: path for path in every}


def absent(names: Iterable[str], folder: Path) -> list[str]:
    """Checkpoints that a folder does not have."""
    return [name for name in names if not (folder / name / CARD).is_file()]


def stages(config: Path) -> list[Path]:
    """Configurations that a training starts from, the first of them first, itself last."""
    start = read_entry(config, "init_from")
    known = [folder / f"{start}.yaml" for folder in (CONFIGS, CONFIGS / "starts")]
    before = next((path for path in known if path.is_file()), None)
    return [*(stages(before) if before else []), config]


def is_trained(config: Path, folder: Path) -> bool:
    """Whether a folder has weights that a configuration made, as far as their card noted that."""
    path = folder / config.stem / CARD
    if not path.is_file():
        return False
    raw = json.loads(path.read_text(encoding="utf-8"))
    noted = raw.get("cards", [raw])[0]["training"].get("config_sha256")
    if noted is None:
        return True
    # Loads PyTorch, which a plan does without where it can.
    from n2m_core.training.kinds import kind_of

    return bool(noted == kind_of(config).digest(config))


def untrained(configs: Iterable[Path], folder: Path) -> list[str]:
    """Names of the configurations that a folder has no weights of, as they stand."""
    return [config.stem for config in configs if not is_trained(config, folder)]


def train_absent(configs: dict[str, Path]) -> Iterable[Command]:
    """The trainings of what the registry does not have, and of what they start from."""
    planned: set[Path] = set()
    for name in untrained(configs.values(), checkpoints_root()):
        way = stages(configs[name])
        there = [n for n, path in enumerate(way) if is_trained(path, checkpoints_root())]
        for path in way[max(there, default=-1) + 1 :]:
            if path not in planned:
                yield ("n2m_core", "train", str(path), "--renew")
            planned.add(path)


def denoisers(config: Path) -> list[Path]:
    """Configuration of the pretraining that a training starts from, if it does."""
    starts = read_entry(config, "init_from"), read_entry(config, "network").get("backbone_from")
    paths = [Path(start) for start in starts if start]
    return [
        CONFIGS / "pretrain" / f"{path.name}.yaml"
        for path in paths
        if path.parent == PRETRAINED.parent
    ]


def train_peers() -> Iterable[Command]:
    """The trainings of the short study, but for what its file has already."""
    # Loads PyTorch, which a plan does without.
    from benchmarks.peers import configurations, measured_seeds, studied

    known = measured_seeds()
    trained = {
        (name, card.training.seed) for name, cards in studied(PEERS).items() for card in cards
    }
    left = [
        (name, seed, config)
        for seed in SEEDS
        for name, config in configurations().items()
        if seed not in known.get(name, ()) and (name, seed) not in trained
    ]
    for denoiser in dict.fromkeys(found for _, _, config in left for found in denoisers(config)):
        yield ("n2m_core", "pretrain", str(denoiser), "--renew")
    for _, seed, config in left:
        yield ("n2m_core", "train", str(config), "--seed", str(seed), "--renew")


def train_pretraining() -> Iterable[Command]:
    """The pretraining and the runs that start from it or not."""
    yield ("n2m_core", "pretrain", str(CONFIGS / "pretrain" / "n2m-denoise.yaml"), "--renew")
    yield ("benchmarks.pretraining",)


def train_wildfire() -> Iterable[Command]:
    """The rows of the paper for one fire; the script trains what is missing."""
    yield ("benchmarks.wildfire", "--train")


JOBS: dict[str, Job] = {
    "claims": Job(
        lambda: [
            *installed("n2m-buildings", "n2m-buildings-plain", "n2m-change", SHARED),
            *scoring(),
        ],
        lacks=lambda: absent(("n2m-buildings", "n2m-buildings-plain"), checkpoints_root()),
    ),
    "peers": Job(
        lambda: [
            *sorted((CONFIGS / "peers").rglob("*.yaml")),
            *sorted((CONFIGS / "pretrain").glob("*-denoise.yaml")),
            *scoring(),
        ],
        (str(PEERS),),
        train_peers,
        lambda: [] if any(PEERS.glob(f"*/{CARD}")) else [f"networks in {PEERS}"],
    ),
    "pretraining": Job(
        lambda: [
            CONFIGS / "peers" / "n2m-buildings-short.yaml",
            CONFIGS / "pretrain" / "n2m-denoise.yaml",
            *scoring(),
        ],
        ("--report",),
        train_pretraining,
        lambda: [] if PRETRAINED.is_dir() else [str(PRETRAINED)],
    ),
    "multitask": Job(
        lambda: [*installed(SHARED, "n2m-buildings", "n2m-change"), *scoring()],
        training=lambda: train_absent({SHARED: CONFIGS / f"{SHARED}.yaml"}),
        lacks=lambda: untrained([CONFIGS / f"{SHARED}.yaml"], checkpoints_root()),
    ),
    "landsat": Job(lambda: [*installed("n2m-change", SHARED, "n2m-wildfire"), *scoring()]),
    "wildfire": Job(
        lambda: [
            *sorted((CONFIGS / "wildfire").glob("*.yaml")),
            *installed("n2m-wildfire"),
            *scoring(),
        ],
        training=train_wildfire,
        lacks=lambda: untrained(sorted((CONFIGS / "wildfire").glob("*.yaml")), WILDFIRE),
    ),
    "refinement": Job(
        lambda: [
            *refiners().values(),
            *installed("idgbr-buildings", "n2m-buildings"),
            *refining(),
            *scoring(),
        ],
        training=lambda: train_absent(refiners()),
        lacks=lambda: [
            *untrained(refiners().values(), checkpoints_root()),
            *absent(ROUGH, PEERS),
        ],
    ),
    "fusion": Job(
        lambda: [
            *fusers().values(),
            *installed("sastf-farmland"),
            *fusing(),
        ],
        training=lambda: train_absent(fusers()),
        lacks=lambda: untrained(fusers().values(), checkpoints_root()),
    ),
    "full_size": Job(
        lambda: folders("models", "models/peers"),
        has_data=False,
    ),
    "results": Job(lambda: sorted(HERE.glob("bench_*.py")), module="benchmarks", has_data=False),
}
