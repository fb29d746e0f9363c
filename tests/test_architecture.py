"""The rules that every source file keeps, read from the syntax trees, and the texts' commands.

Imports point one way: app, pages -> pages/_ui -> n2m_core.tasks, training -> models, diffusion,
checkpoints, raster_io, datasets -> metrics, tiling, normalize, render, guided_filter, corruption,
geo_image -> errors. Never upward, never between two papers. Every rule is tried on a bad source as
well.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import typer

from n2m_core.cli import app

ROOT = Path(__file__).resolve().parents[1]

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"n2m_core", "n2m_core.errors", "n2m_core.places"}),
    frozenset({"n2m_core.geo_image", "n2m_core.atomic", "n2m_core.lineage"}),
    frozenset(
        f"n2m_core.{name}"
        for name in ("corruption", "guided_filter", "metrics", "normalize", "render", "tiling")
    ),
    frozenset(
        f"n2m_core.{name}"
        for name in (
            "checkpoints",
            "datasets",
            "diffusion",
            "fusion",
            "models",
            "raster_io",
            "scenes",
            "vectorize",
        )
    ),
    frozenset({"n2m_core.review", "n2m_core.streaming", "n2m_core.tasks", "n2m_core.training"}),
    frozenset({"n2m_core.cli", "n2m_core.__main__"}),
    frozenset({"pages._ui"}),
    frozenset({"app", "pages"}),
)
"""Lowest first. A module may import its own layer and those below."""
PAPERS = frozenset({"noise2map", "idgbr", "sastf", "stfdiff"})
UI_PACKAGES = frozenset({"streamlit", "folium", "leafmap", "plotly"})
HEAVY_PACKAGES = frozenset({"leafmap", "torch"})
PROGRAMS = ("app.py", "pages", "n2m_core", "bootstrap.py", "benchmarks", "tests")


@dataclass(frozen=True)
class Import:
    """One imported module, its line, and whether it is imported as soon as the file is."""

    module: str
    line: int
    is_eager: bool


@dataclass(frozen=True)
class Source:
    """A Python file: its path from the repository root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        """Dotted name; a package's is the folder's."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports(self.tree, is_eager=True))

    def _imports(self, node: ast.AST, *, is_eager: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, is_eager)
            elif isinstance(child, ast.ImportFrom):
                base = self._base(child)
                for alias in child.names:
                    yield Import(f"{base}.{alias.name}", child.lineno, is_eager)
            else:
                lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
                    isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
                )
                yield from self._imports(child, is_eager=is_eager and not lazy)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        package = parts if self.path.endswith("/__init__.py") else parts[:-1]
        kept = package[: len(package) - node.level + 1]
        return ".".join([*kept, node.module] if node.module else kept)


Rule = Callable[[Source], list[str]]


def belongs(module: str, package: str) -> bool:
    """Whether a dotted name is the package or something in it."""
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str) -> int | None:
    """Layer of one of our modules, by the longest name that fits; None for what isn't ours."""
    if module.split(".")[0] not in ("n2m_core", "pages", "app"):
        return None
    fits = [
        (len(name), rank)
        for rank, names in enumerate(LAYERS)
        for name in names
        if belongs(module, name)
    ]
    return max(fits)[1]


def is_placed(module: str) -> bool:
    """Whether LAYERS says where a module of the core stands."""
    top = ".".join(module.split(".")[:2])
    return not belongs(module, "n2m_core") or any(top in names for names in LAYERS)


# The rules: each gives a sentence for every breach


def points_down(source: Source) -> list[str]:
    """No import of a higher layer; the core's modules all have a layer."""
    if not is_placed(source.module):
        return [f"{source.path}: say in LAYERS where {source.module} stands"]
    own = layer_of(source.module)
    if own is None:
        return []
    return [
        f"{source.path}:{found.line} imports {found.module}, which stands above"
        for found in source.imports
        if (rank := layer_of(found.module)) is not None and rank > own
    ]


def keeps_papers_apart(source: Source) -> list[str]:
    """A paper's model file imports no other paper's."""
    name = source.path.removeprefix("n2m_core/models/").removesuffix(".py")
    others = PAPERS - {name} if name in PAPERS else frozenset[str]()
    return [
        f"{source.path}:{found.line} imports another paper's {found.module}"
        for found in source.imports
        if any(belongs(found.module, f"n2m_core.models.{other}") for other in others)
    ]


def core_knows_no_ui(source: Source) -> list[str]:
    """The library imports no user interface, and nobody imports the command line."""
    is_core = belongs(source.module, "n2m_core")
    banned = UI_PACKAGES if is_core else frozenset[str]()
    return [
        f"{source.path}:{found.line} imports {found.module}"
        for found in source.imports
        if found.module.split(".")[0] in banned
        or (belongs(found.module, "n2m_core.cli") and belongs(source.module, "pages"))
    ]


def has_one_owner(source: Source) -> list[str]:
    """rasterio is raster_io's, streamlit the pages' and app.py's; tests, benchmarks take both."""
    owners = {"rasterio": ("n2m_core.raster_io",), "streamlit": ("pages", "app")}
    if source.path.startswith(("tests/", "benchmarks/")):
        return []
    return [
        f"{source.path}:{found.line} imports {found.module}"
        for found in source.imports
        for package, modules in owners.items()
        if belongs(found.module, package) and not any(belongs(source.module, m) for m in modules)
    ]


def pages_load_late(source: Source) -> list[str]:
    """A page starts before the slow packages are there."""
    if not (source.path == "app.py" or source.path.startswith("pages/")):
        return []
    return [
        f"{source.path}:{found.line} imports {found.module} at once; do so where it is used"
        for found in source.imports
        if found.is_eager and found.module.split(".")[0] in HEAVY_PACKAGES
    ]


def longest_allowed(path: str) -> int:
    """Lines that a file may have."""
    if path == "app.py":
        return 60
    if re.fullmatch(r"pages/[^/]+\.py", path):
        return 120
    return 400 if path.startswith("n2m_core/") or path == "bootstrap.py" else 450


def is_short(source: Source) -> list[str]:
    """Files within their limit; functions of at most 60 lines, 70 with the docstring."""
    limit = longest_allowed(source.path)
    found = [f"{source.path}: {source.lines} lines, {limit} allowed"] * (source.lines > limit)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            whole = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            words = ast.get_docstring(node) is not None
            code = whole - ((first.end_lineno or 0) - first.lineno + 1 if words else 0)
            if code > 60 or whole > 70:
                found.append(f"{source.path}:{node.lineno} {node.name}: {code} lines of {whole}")
    return found


def does_not_print(source: Source) -> list[str]:
    """The core prints nowhere but in the command line's own output module."""
    if not source.path.startswith("n2m_core/") or re.match(
        r"n2m_core/cli[\w/]*output", source.path
    ):
        return []
    return [
        f"{source.path}:{node.lineno} prints"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def machine_paths(path: str, text: str) -> list[str]:
    """Folders of one machine or one person, in a text file of any kind."""
    folders = "|".join(
        ["wo" + "rk", "fa" + "rm", "ro" + "ot", r"ho" + r"me[/\\]\w+", r"Us" + r"ers[/\\]\w+"]
    )
    pattern = re.compile(rf"(?:^|[^.\w])(?:[A-Z]:)?[/\\](?:{folders})[/\\]")
    return [
        f"{path}:{number} has a path of one machine: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


RULES: tuple[Rule, ...] = (
    points_down,
    keeps_papers_apart,
    core_knows_no_ui,
    has_one_owner,
    pages_load_late,
    is_short,
    does_not_print,
)


# The repository


def python_files() -> list[str]:
    tops = [ROOT / name for name in PROGRAMS]
    found = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*.py"))]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


SOURCES = {path: Source(path, (ROOT / path).read_text(encoding="utf-8")) for path in python_files()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_repository_keeps(rule: Rule) -> None:
    assert [breach for source in SOURCES.values() for breach in rule(source)] == []


def test_sources_are_seen() -> None:
    """The rules hold for something: the core and its tests were found."""
    assert {"n2m_core/errors.py", "tests/test_architecture.py", "bootstrap.py"} <= SOURCES.keys()
    assert len(SOURCES["n2m_core/geo_image.py"].imports) > 5


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every text file that git tracks, with its contents."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content[:8000]:
            yield name, content.decode("utf-8", "replace")


def test_no_path_of_one_machine() -> None:
    assert [breach for name, text in tracked_texts() for breach in machine_paths(name, text)] == []


def test_every_imported_package_is_pinned() -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==", pins, re.M)}
    owners = importlib.metadata.packages_distributions()
    tests = {Path(path).stem for path in SOURCES if path.startswith("tests/")}
    local = {"n2m_core", "pages", "benchmarks", "bootstrap", "tests"} | tests
    tops = {
        found.module.split(".")[0] for source in SOURCES.values() for found in source.imports
    } - (sys.stdlib_module_names | local)
    loose = {top for top in tops if not pinned & {n.lower() for n in owners.get(top, [])}}
    assert loose == set()


def shell_words(markdown: str, program: str) -> set[str]:
    """The commands of a program that a page shows, in fences or between backticks."""
    fences = re.findall(r"^```(?:\w*)\n(.*?)^```", markdown, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S))
    lines = [line for block in [*fences, *spans] for line in block.splitlines()]
    pattern = re.compile(rf"^\s*(?:\$ )?(?:\w+=\S+ )*(?:\.venv/bin/)?{program} ([a-z][\w-]*)")
    return {match[1] for line in lines if (match := pattern.match(line))}


def pages_of_text() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_make_commands_in_the_texts_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^COMMANDS := (.*)$", makefile, re.M)
    for page in pages_of_text():
        shown = shell_words(page.read_text(encoding="utf-8"), "make")
        assert shown <= {*targets.split(), "help"}, page.name
    assert {"run", "test"} <= shell_words((ROOT / "README.md").read_text(encoding="utf-8"), "make")


def test_n2m_commands_in_the_texts_exist() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    known = group.commands.keys()
    for page in pages_of_text():
        assert shell_words(page.read_text(encoding="utf-8"), "n2m") <= known, page.name


# The rules, on sources that break them


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (points_down, "n2m_core/errors.py", "from n2m_core.geo_image import GeoImage\n"),
        (points_down, "n2m_core/errors.py", "from n2m_core import geo_image\n"),
        (points_down, "n2m_core/errors.py", "from . import geo_image\n"),
        (points_down, "n2m_core/models/backbone.py", "from ..tasks.segment import run\n"),
        (points_down, "n2m_core/metrics/__init__.py", "from ..raster_io import reading\n"),
        (points_down, "n2m_core/tiling.py", "def f():\n    import n2m_core.models.noise2map\n"),
        (points_down, "n2m_core/tasks/segment.py", "import pages._ui.state\n"),
        (points_down, "pages/_ui/maps.py", "import app\n"),
        (points_down, "n2m_core/unheard_of.py", ""),
        (keeps_papers_apart, "n2m_core/models/idgbr.py", "from n2m_core.models import noise2map\n"),
        (keeps_papers_apart, "n2m_core/models/sastf.py", "from .idgbr import Refiner\n"),
        (core_knows_no_ui, "n2m_core/render.py", "import folium\n"),
        (
            core_knows_no_ui,
            "n2m_core/tasks/segment.py",
            "def f():\n    from streamlit import cache\n",
        ),
        (core_knows_no_ui, "n2m_core/tasks/segment.py", "import plotly.graph_objects as go\n"),
        (core_knows_no_ui, "pages/1_Segment.py", "from n2m_core.cli import main\n"),
        (has_one_owner, "n2m_core/vectorize.py", "from rasterio.features import shapes\n"),
        (has_one_owner, "pages/_ui/maps.py", "import rasterio\n"),
        (has_one_owner, "bootstrap.py", "import streamlit\n"),
        (pages_load_late, "app.py", "import torch\n"),
        (pages_load_late, "pages/_ui/maps.py", "if True:\n    import leafmap.foliumap\n"),
        (is_short, "app.py", "x = 1\n" * 61),
        (is_short, "pages/1_Segment.py", "x = 1\n" * 121),
        (is_short, "n2m_core/tiling.py", "x = 1\n" * 401),
        (is_short, "tests/test_x.py", "x = 1\n" * 451),
        (is_short, "n2m_core/x.py", "def f():\n" + "    x = 1\n" * 60),
        (is_short, "n2m_core/x.py", 'def f():\n    """\n' + "\n" * 70 + '    """\n    return 1\n'),
        (does_not_print, "n2m_core/tiling.py", "def f():\n    print('x')\n"),
    ],
)
def test_rule_finds_the_breach(rule: Rule, path: str, text: str) -> None:
    breaches = rule(Source(path, text))
    assert len(breaches) == 1
    assert breaches[0].startswith(path)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (points_down, "n2m_core/tasks/segment.py", "from n2m_core.models import noise2map\n"),
        (points_down, "n2m_core/raster_io/__init__.py", "from .reading import read_image\n"),
        (points_down, "pages/1_Segment.py", "from pages._ui import maps\nimport numpy\n"),
        (points_down, "tests/unit/test_x.py", "from n2m_core.tasks import segment\n"),
        (keeps_papers_apart, "n2m_core/models/idgbr.py", "from .backbone import Attention\n"),
        (keeps_papers_apart, "n2m_core/tasks/refine.py", "from n2m_core.models import idgbr\n"),
        (core_knows_no_ui, "pages/_ui/maps.py", "import folium\n"),
        (has_one_owner, "n2m_core/raster_io/reading.py", "import rasterio.windows\n"),
        (pages_load_late, "pages/_ui/maps.py", "def f():\n    import leafmap\n"),
        (pages_load_late, "pages/_ui/jobs.py", "if TYPE_CHECKING:\n    from torch import Tensor\n"),
        (is_short, "n2m_core/x.py", "def f():\n" + "    x = 1\n" * 59),
        (does_not_print, "n2m_core/tiling.py", "def f(s):\n    s.print()\n"),
    ],
)
def test_rule_lets_good_sources_pass(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)) == []


@pytest.mark.parametrize("folder", ["/wo" + "rk/x", "/ho" + "me/ann/x", "C:\\Us" + "ers\\ann\\x"])
def test_machine_paths_are_found(folder: str) -> None:
    assert len(machine_paths("a.md", f"fine\nsee `{folder}/data`\n")) == 1


def test_relative_and_system_paths_pass() -> None:
    assert machine_paths("a.md", "../shared/data, /usr/bin/chromium, https://a.org/home/x/") == []


def test_shown_commands_are_found() -> None:
    page = "Type `make run`.\n\n```bash\nmake test ARGS=-x\n$ n2m samples --out x\n```\nmake sure\n"
    assert shell_words(page, "make") == {"run", "test"}
    assert shell_words(page, "n2m") == {"samples"}
