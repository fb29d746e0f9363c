"""The bootstrap script, run on stand-in programs: shell scripts that note how they were called.

The real set-up takes minutes and a network, and has run before these tests can start at all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in programs are shell scripts")


def load_bootstrap(root: Path) -> ModuleType:
    """The script as a module that takes `root` for the project folder."""
    spec = importlib.util.spec_from_file_location("bootstrap", root / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


class Project:
    """A small project folder whose environment is made of stand-ins that log their calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.log_file = root / "calls.txt"
        root.mkdir()
        shutil.copy(ROOT / "bootstrap.py", root)
        (root / "requirements.txt").write_text("torch==1.2.3\nnumpy==4.5.6\n")
        (root / "constraints.txt").write_text("numpy==4.5.6\n")
        (root / "pyproject.toml").write_text("[project]\n")
        self.bootstrap = load_bootstrap(root)

    def add_program(self, name: str, body: str = "") -> None:
        """Put a program into the environment that logs its words, then runs `body`."""
        script(self.venv / "bin" / name, f'echo "{name} $*" >> "{self.log_file}"\n{body}')

    def add_python(self, pip: str = "") -> None:
        """Put a Python 3.11 there; `pip` runs on every call of pip install."""
        n2m = self.venv / "bin" / "n2m"
        self.add_program(
            "python",
            'case "$*" in\n'
            "  *version_info*) echo 3 11 ;;\n"
            f'  *"pip install"*--editable*) {pip or ":"}; touch "{n2m}" ;;\n'
            f'  *"pip install"*) {pip or ":"} ;;\n'
            "esac",
        )

    def calls(self, word: str) -> list[str]:
        """The logged calls that hold a word."""
        if not self.log_file.exists():
            return []
        return [line for line in self.log_file.read_text().splitlines() if word in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole search path."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


# The pins


def pinned_names(text: str) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pairs = [line.split("==") for line in lines if line]
    assert all(len(pair) == 2 for pair in pairs), "every line is one exact pin"
    names = [re.sub(r"[-_.]+", "-", name).lower() for name, _ in pairs]
    assert len(set(names)) == len(names), "nothing is pinned twice"
    return dict(zip(names, (version for _, version in pairs), strict=True))


def test_every_requirement_is_pinned_to_what_is_installed() -> None:
    requirements = pinned_names((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    constraints = pinned_names((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert next(iter(requirements)) == "torch"
    assert "torch" not in constraints
    for name, version in {**constraints, **requirements}.items():
        assert importlib.metadata.version(name).split("+")[0] == version, name
    assert requirements.items() - {("torch", requirements["torch"])} <= constraints.items()


def test_torch_is_read_from_the_requirements(project: Project) -> None:
    assert project.bootstrap.torch_requirement("# torch==0\ntorch==2.0\nnumpy==1\n") == "torch==2.0"
    with pytest.raises(project.bootstrap.BootstrapError, match="must pin torch once; it does 0"):
        project.bootstrap.torch_requirement("numpy==1\n")


# Python


def test_version_is_asked_from_the_python_itself(project: Project, tmp_path: Path) -> None:
    version = project.bootstrap.python_version
    assert version(sys.executable) == sys.version_info[:2]
    assert version(tmp_path / "absent") is None
    assert version(script(tmp_path / "liar", "echo hello")) is None
    assert version(script(tmp_path / "broken", "exit 3")) is None


def test_python_3_11_is_found_among_others(
    project: Project, only_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(script(only_path / "python", "echo 3 13")))
    script(only_path / "python3.11", "exit 127")
    script(only_path / "python3", "echo 3 11")
    assert project.bootstrap.find_python() == ["python3"]


def test_missing_python_3_11_is_said_with_the_remedy(
    project: Project, only_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    script(only_path / "python3", "echo 3 13")
    with pytest.raises(
        project.bootstrap.BootstrapError, match=r"found: python3 is 3\.13\. Install it"
    ):
        project.bootstrap.find_python()


def test_missing_ensurepip_is_said_with_the_remedy(project: Project, only_path: Path) -> None:
    python = script(only_path / "python3", "exit 1")
    with pytest.raises(project.bootstrap.BootstrapError, match=r"install python3\.11-venv"):
        project.bootstrap.check_venv_module([str(python)])


def test_missing_ensurepip_is_installed_on_debian(project: Project, only_path: Path) -> None:
    python = script(only_path / "python3", f'test -e "{only_path}/installed"')
    script(only_path / "sudo", 'shift; exec "$@"')
    script(only_path / "env", 'shift; exec "$@"')
    script(
        only_path / "apt-get",
        f'case "$*" in *install*python3.11-venv*) : > "{only_path}/installed" ;; esac',
    )
    project.bootstrap.check_venv_module([str(python)])
    assert (only_path / "installed").exists()


# The environment


def test_setup_installs_torch_first_and_the_second_call_installs_nothing(project: Project) -> None:
    project.add_python()
    assert project.bootstrap.set_up() == project.venv
    installs = project.calls("pip install")
    assert [call.split("-q ")[1].split(" -c")[0] for call in installs] == [
        "torch==1.2.3",
        f"-r {project.root}/requirements.txt",
        f"--no-deps --editable {project.root}",
    ]
    assert all(f"-c {project.root}/constraints.txt" in call for call in installs[:2])
    project.log_file.unlink()
    project.bootstrap.set_up()
    assert project.calls("") == []


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt", "pyproject.toml"])
def test_changed_pins_are_installed(project: Project, name: str) -> None:
    project.add_python()
    project.bootstrap.set_up()
    project.log_file.unlink()
    with (project.root / name).open("a") as file:
        file.write("# changed\n")
    project.bootstrap.set_up()
    assert len(project.calls("pip install")) == 3


def test_setup_that_failed_is_completed_by_the_next_call(project: Project) -> None:
    project.add_python(pip="exit 1")
    with pytest.raises(project.bootstrap.BootstrapError, match=r"could not install torch==1\.2\.3"):
        project.bootstrap.set_up()
    project.add_python()
    project.log_file.unlink()
    project.bootstrap.set_up()
    assert len(project.calls("pip install")) == 3


def test_lost_command_is_noticed(project: Project) -> None:
    project.add_python()
    project.bootstrap.set_up()
    (project.venv / "bin" / "n2m").unlink()
    project.bootstrap.set_up()
    assert (project.venv / "bin" / "n2m").exists()


def test_package_cut_off_while_installing_is_installed_again(project: Project) -> None:
    packages = project.venv / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.0.dist-info", "torn-1.0.dist-info"):
        (packages / name).mkdir(parents=True)
        (packages / name / "METADATA").touch()
    (packages / "whole-1.0.dist-info" / "RECORD").touch()
    assert project.bootstrap.drop_torn_packages(project.venv) == ["torn-1.0.dist-info"]
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]


def test_environment_killed_before_it_had_pip_is_filled_up(project: Project) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.venv], check=True)
    (project.venv / "kept").touch()
    project.bootstrap.make_venv(project.venv, moved=False)
    python = project.venv / "bin" / "python"
    assert project.bootstrap.probe(python, "-m", "pip", "--version") is not None
    assert (project.venv / "kept").exists()


def test_environment_of_a_moved_folder_is_made_anew(project: Project) -> None:
    project.add_python()
    project.bootstrap.set_up()
    stamp = project.venv / "n2m-setup.txt"
    stamp.write_text(stamp.read_text().replace(str(project.root), "/elsewhere"))
    asked: list[bool] = []
    project.bootstrap.make_venv = lambda venv, *, moved: asked.append(moved)
    project.bootstrap.set_up()
    project.bootstrap.set_up()
    assert asked == [True]


# The browser


def test_wanted_browser_is_taken(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = script(project.root / "my browser", "echo 1.0")
    monkeypatch.setenv("N2M_BROWSER", str(browser))
    assert project.bootstrap.find_browser(project.venv) == str(browser)


def test_wanted_browser_that_does_not_start_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_BROWSER", str(project.root / "absent"))
    with pytest.raises(project.bootstrap.BootstrapError, match=r"absent, which does not start"):
        project.bootstrap.find_browser(project.venv)


def test_browser_that_only_hints_is_passed_over(
    project: Project, only_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("N2M_BROWSER", raising=False)
    script(only_path / "chromium-browser", "echo 'install the snap'; exit 1")
    chrome = script(only_path / "google-chrome", "echo 1.0")
    assert project.bootstrap.find_browser(project.venv) == str(chrome)


def test_playwright_installs_a_browser_where_nothing_else_is(
    project: Project, only_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("N2M_BROWSER", raising=False)
    own = project.root / "playwright-chromium"
    project.add_program(
        "python",
        f'case "$*" in *executable_path*) echo "{own}" ;;\n'
        f"  *'playwright install chromium'*) printf '#!/bin/sh\\necho 1.0\\n' > \"{own}\"\n"
        f'    command -p chmod +x "{own}" ;; esac',
    )
    assert project.bootstrap.find_browser(project.venv) == str(own)
    assert len(project.calls("playwright install chromium")) == 1


def test_no_browser_at_all_is_said_with_the_remedy(
    project: Project, only_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("N2M_BROWSER", raising=False)
    project.add_program("python", "exit 1")
    with pytest.raises(project.bootstrap.BootstrapError, match="set N2M_BROWSER to the path"):
        project.bootstrap.find_browser(project.venv)


# The commands


def test_first_free_port_passes_over_a_busy_one(project: Project) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        busy = server.getsockname()[1]
        assert project.bootstrap.first_free_port(busy) > busy
        with pytest.raises(project.bootstrap.BootstrapError, match=f"from {busy} to {busy} is"):
            project.bootstrap.first_free_port(busy, busy)
    with pytest.raises(project.bootstrap.BootstrapError, match="up to 65535"):
        project.bootstrap.first_free_port(70000, 70000)


@pytest.fixture
def tested(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose tools all pass, with a browser."""
    for name in ("ruff", "mypy"):
        project.add_program(name)
    project.add_program("python", f'echo "browser $N2M_BROWSER" >> "{project.log_file}"')
    monkeypatch.setenv("N2M_BROWSER", str(script(project.root / "browser", "echo 1.0")))
    yield project


def test_tests_run_after_lint_and_types_with_a_browser(
    tested: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("N2M_DATA", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert tested.bootstrap.run_tests(tested.venv, ["-k", "tiling"]) == 0
    assert tested.calls("") == [
        "ruff check .",
        "ruff format --check .",
        "mypy ",
        "python -m pytest -rfEsR -n 2 --dist loadfile -k tiling",
        f"browser {tested.root / 'browser'}",
    ]
    assert "tests on real imagery are left out" in capfd.readouterr().out


@pytest.mark.parametrize("tool", ["ruff", "mypy", "python"])
def test_any_failing_step_fails_the_run_but_the_tests_still_run(tested: Project, tool: str) -> None:
    tested.add_program(tool, "exit 4")
    assert tested.bootstrap.run_tests(tested.venv, []) != 0
    assert len(tested.calls("-m pytest")) == 1


def test_app_is_served_on_this_machine_only(project: Project) -> None:
    project.add_program("python")
    options = argparse.Namespace(port=None, no_browser=True)
    assert project.bootstrap.run_app(project.venv, options, ["--logger.level=error"]) == 0
    (call,) = project.calls("streamlit run app.py")
    assert "--server.address=127.0.0.1" in call
    assert "--server.headless=true" in call
    assert call.endswith("--logger.level=error")


def test_ending_the_script_ends_the_server(project: Project) -> None:
    started = project.root / "started"
    ended = project.root / "ended"
    project.add_program(
        "python",
        f'trap \'touch "{ended}"; exit 0\' TERM\ntouch "{started}"\nwhile :; do sleep 0.1; done',
    )
    (project.venv / "bin" / "n2m").touch()
    stamp = "\n".join([project.bootstrap.pins_digest(project.root), str(project.venv)])
    (project.venv / "n2m-setup.txt").write_text(stamp)
    command = [sys.executable, project.root / "bootstrap.py", "run", "--no-browser"]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert ended.exists()


def test_missing_part_is_answered_with_one_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.add_python(pip="exit 1")
    assert project.bootstrap.main(["setup"]) == 1
    assert capsys.readouterr().err.startswith("bootstrap: pip could not install torch==1.2.3")


def test_further_words_go_to_the_tool(project: Project) -> None:
    options, extra = project.bootstrap.parse(["test", "-k", "tiling", "tests/unit"])
    assert (options.command, extra) == ("test", ["-k", "tiling", "tests/unit"])
    options, extra = project.bootstrap.parse(["run", "--port", "9000", "--no-browser"])
    assert (options.port, options.no_browser, extra) == (9000, True, [])
    with pytest.raises(SystemExit):
        project.bootstrap.parse(["setup", "surplus"])


# The fronts


def test_make_offers_every_command(project: Project) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^COMMANDS := (.*)$", makefile, re.M)
    assert targets.split() == list(project.bootstrap.COMMANDS)
    assert set(re.findall(r'@echo "make ([\w-]+)', makefile)) == set(targets.split())


def test_make_passes_words_on(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "bootstrap.py").write_text("import sys\nsys.stdout.write(repr(sys.argv[1:]))\n")
    command = ["make", "test", "ARGS=-k 'two words'"]
    # These tests run below a make of their own, whose flags are not for this one.
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['test', '-k', 'two words']"


@pytest.mark.parametrize("has_data", [True, False])
def test_ci_names_the_data_only_where_they_are(tmp_path: Path, has_data: bool) -> None:
    checkout = tmp_path / "a checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci")
    (checkout / "Makefile").write_text('test:\n\t@echo "data=$$N2M_DATA"\n')
    if has_data:
        (tmp_path / "shared" / "data").mkdir(parents=True)
    env = {name: value for name, value in os.environ.items() if name != "N2M_DATA"}
    done = subprocess.run(
        [checkout / ".ci" / "run"], cwd="/", env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"data={tmp_path / 'shared' / 'data' if has_data else ''}"
