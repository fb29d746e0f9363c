"""Make the environment and run the project's commands, with the standard library alone.

`make X` and `python bootstrap.py X` are the same. The first command makes `.venv` (Python 3.11),
installs what requirements.txt and constraints.txt pin and leaves a stamp there; as long as these
files stay as they are, the next command starts at once. A set-up that was killed is completed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"
PYTHON = (3, 11)
PINS = ("requirements.txt", "constraints.txt", "pyproject.toml")
FIRST_PORT = 8501
MOST_TEST_WORKERS = 4
BROWSER_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
MAC_BROWSERS = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS_BROWSERS = (r"Google\Chrome\Application\chrome", r"Microsoft\Edge\Application\msedge")
WINDOWS_ROOTS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
COMMANDS = {
    "setup": "make or complete the environment in .venv",
    "run": "open the app",
    "test": "lint, types and every test; further words go to pytest",
    "lint": "ruff check and ruff format --check",
    "type": "mypy",
    "fmt": "ruff format",
    "samples": "write the sample scenes anew",
    "bench": "measure speed and write docs/benchmarks.md",
    "bench-models": "run the studies that are out of date and write docs/studies.md",
}
GET_PYTHON = (
    "Install it (python.org, `apt-get install python3.11 python3.11-venv`, "
    "`brew install python@3.11`, `winget install Python.Python.3.11`) and run this again."
)
NO_BROWSER = (
    "No Chromium, Chrome or Edge was found, and none could be installed. Install one, or set "
    "N2M_BROWSER to the path of its program, and run this again."
)


class BootstrapError(Exception):
    """Something is missing on this machine; the text says what, and what to do."""


def say(text: str) -> None:
    """Write one line at once, so that it stands before what a child process writes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def call(*command: str | Path, env: dict[str, str] | None = None) -> int:
    """Run a command in the project folder with our own input and output; its exit status."""
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=env, check=False
    ).returncode


def probe(*command: str | Path, timeout_s: float = 60) -> str | None:
    """What a command prints, or None when it can't be started, fails or hangs."""
    words, no = [str(part) for part in command], subprocess.DEVNULL
    try:
        out = subprocess.check_output(words, cwd=ROOT, stdin=no, stderr=no, timeout=timeout_s)
    except (OSError, subprocess.SubprocessError):
        return None
    return out.decode("utf-8", "replace").strip()


def python_version(*command: str | Path) -> tuple[int, ...] | None:
    """Major and minor number of a Python command; None when it isn't one."""
    text = probe(*command, "-c", "import sys; print(*sys.version_info[:2])")
    parts = (text or "").split()
    return tuple(int(part) for part in parts) if all(p.isdigit() for p in parts) and parts else None


def find_python() -> list[str]:
    """Command of a Python 3.11: this one, or one of the usual names."""
    names = [[sys.executable], ["python3.11"], ["py", "-3.11"], ["python3"], ["python"]]
    seen = []
    for command in names:
        version = python_version(*command) if command[0] else None
        if version == PYTHON:
            return command
        if version is not None:
            seen.append("{} is {}".format(" ".join(command), ".".join(map(str, version))))
    raise BootstrapError(f"Python 3.11 is needed; found: {'; '.join(seen) or 'none'}. {GET_PYTHON}")


def venv_command(venv: Path, name: str) -> Path:
    """Path of a program in the environment."""
    return venv / "Scripts" / f"{name}.exe" if WINDOWS else venv / "bin" / name


def apt_install(*packages: str) -> bool:
    """Install Debian packages as root or by passwordless sudo; False where that is impossible."""
    if shutil.which("apt-get") is None:
        return False
    front = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if os.getuid() != 0:
        if probe("sudo", "-n", "true") is None:
            return False
        front = ["sudo", "-n", *front]
    say(f"Installing {' '.join(packages)} by apt-get")
    call(*front, "apt-get", "update", "-q")
    install = ("apt-get", "install", "-y", "-q", "--no-install-recommends")
    return call(*front, *install, *packages) == 0


def check_venv_module(python: list[str]) -> None:
    """Make sure that the Python can make environments (Debian packs ensurepip apart)."""
    works = (*python, "-c", "import venv, ensurepip")
    if probe(*works) is not None:
        return
    if apt_install("python3.11-venv") and probe(*works) is not None:
        return
    raise BootstrapError(
        f"{' '.join(python)} has no venv or ensurepip module. Install it "
        "(on Debian and Ubuntu: `sudo apt-get install python3.11-venv`) and run this again."
    )


def make_venv(venv: Path, *, moved: bool) -> None:
    """Make the environment, or mend one whose making was interrupted."""
    inner = venv_command(venv, "python")
    version = python_version(inner)
    works = version == PYTHON and probe(inner, "-m", "pip", "--version", timeout_s=600) is not None
    if works and not moved:
        return
    python = find_python()
    check_venv_module(python)
    say(f"Making {venv.name} with Python 3.11")
    # Programs know their folder: a moved environment is of no use, nor is another Python's. One
    # that is half made is only filled up.
    clear = ("--clear",) if moved or version not in (None, PYTHON) else ()
    if call(*python, "-m", "venv", *clear, venv) != 0:
        raise BootstrapError(f"{venv} could not be made. Is the disk full, or not writable?")


def drop_torn_packages(venv: Path) -> list[str]:
    """Forget packages whose installation was cut off, so that pip installs them again.

    pip writes a package's RECORD last. Without it pip would take the package for complete.
    """
    library = venv / "Lib" if WINDOWS else venv / "lib" / "python3.11"
    packages = sorted((library / "site-packages").glob("*.dist-info"))
    torn = [info for info in packages if not (info / "RECORD").is_file()]
    for info in torn:
        shutil.rmtree(info)
    return [info.name for info in torn]


def pins_digest(root: Path) -> str:
    """Digest of the files that decide what the environment holds."""
    digest = hashlib.sha256(repr(PYTHON).encode())
    for name in PINS:
        digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return digest.hexdigest()


def torch_requirement(requirements: str) -> str:
    """The line of requirements.txt that pins torch."""
    pins = [line.strip() for line in requirements.splitlines() if line.startswith("torch==")]
    if len(pins) != 1:
        raise BootstrapError(f"requirements.txt must pin torch once; it does {len(pins)} times.")
    return pins[0]


def install(venv: Path) -> None:
    """Install torch, then the rest, then this project as an editable package."""
    pip = (venv_command(venv, "python"), "-m", "pip", "install", "-q")
    pinned = ("-c", ROOT / "constraints.txt")
    torch = torch_requirement((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    steps: tuple[tuple[str, tuple[str | Path, ...]], ...] = (
        (f"{torch} (the largest part, some minutes)", (torch, *pinned)),
        ("the other packages", ("-r", ROOT / "requirements.txt", *pinned)),
        ("this project", ("--no-deps", "--editable", ROOT)),
    )
    for what, arguments in steps:
        say(f"Installing {what}")
        if call(*pip, *arguments) != 0:
            raise BootstrapError(
                f"pip could not install {what}; the reason is above. With a working internet "
                "connection and 8 GB of free disk, run this again: it goes on where it stopped."
            )


def set_up() -> Path:
    """Make sure that the environment is complete and return its folder."""
    venv = ROOT / ".venv"
    stamp = venv / "n2m-setup.txt"
    wanted = [pins_digest(ROOT), str(venv)]
    found = stamp.read_text(encoding="utf-8").splitlines() if stamp.is_file() else wanted[1:]
    programs = (venv_command(venv, "python"), venv_command(venv, "n2m"))
    if found == wanted and all(program.exists() for program in programs):
        return venv
    # Before pip is used at all: pip itself may be among them.
    for name in drop_torn_packages(venv):
        say(f"Installing again what was cut off: {name}")
    make_venv(venv, moved=found[-1:] != wanted[-1:])
    stamp.unlink(missing_ok=True)
    install(venv)
    fresh = stamp.with_suffix(".part")
    fresh.write_text("\n".join(wanted), encoding="utf-8")
    fresh.replace(stamp)
    say(f"Environment ready: {venv}")
    return venv


def browser_candidates() -> list[str]:
    """Where a Chromium, Chrome or Edge usually is on this system."""
    found = [shutil.which(name) or "" for name in BROWSER_COMMANDS]
    if WINDOWS:
        roots = filter(None, map(os.environ.get, WINDOWS_ROOTS))
        found += [str(Path(root) / f"{name}.exe") for root in roots for name in WINDOWS_BROWSERS]
    if sys.platform == "darwin":
        found += [f"/Applications/{name}.app/Contents/MacOS/{name}" for name in MAC_BROWSERS]
    return [path for path in found if path and Path(path).is_file()]


def browser_starts(path: str) -> bool:
    """Whether the program is a browser that starts (Ubuntu's may be a mere hint)."""
    # chrome.exe --version opens a window instead of answering.
    return Path(path).is_file() and (WINDOWS or probe(path, "--version") is not None)


def installed_browser() -> str | None:
    """Path of the first usual browser that starts."""
    return next((path for path in browser_candidates() if browser_starts(path)), None)


def playwright_browser(venv: Path) -> str | None:
    """Path of the Chromium that Playwright keeps for itself, when it is there and starts."""
    ask = (
        "from playwright.sync_api import sync_playwright as s\n"
        "with s() as p: print(p.chromium.executable_path)"
    )
    path = probe(venv_command(venv, "python"), "-c", ask)
    return path if path and browser_starts(path) else None


def install_browser(venv: Path) -> str | None:
    """Install Debian's Chromium, else Playwright's own; the path of what works then."""
    found = installed_browser() if apt_install("chromium") else None
    if found:
        return found
    say("Installing Playwright's Chromium")
    call(venv_command(venv, "python"), "-m", "playwright", "install", "chromium")
    found = playwright_browser(venv)
    if found is None and sys.platform == "linux":
        say("If libraries are missing: sudo .venv/bin/python -m playwright install-deps chromium")
    return found


def find_browser(venv: Path) -> str:
    """Path of a browser for the tests: N2M_BROWSER, an installed one, or one installed now."""
    wanted = os.environ.get("N2M_BROWSER")
    if wanted:
        if browser_starts(wanted):
            return wanted
        raise BootstrapError(f"N2M_BROWSER is {wanted}, which does not start. Correct or unset it.")
    found = installed_browser() or playwright_browser(venv) or install_browser(venv)
    if found is None:
        raise BootstrapError(NO_BROWSER)
    return found


def first_free_port(first: int, last: int = 65535) -> int:
    """The first port from `first` on that nobody listens on."""
    for port in range(max(first, 1), min(last, 65535) + 1):
        with socket.socket() as caller:
            caller.settimeout(0.5)
            if caller.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise BootstrapError(f"No port from {first} to {last} is free. Give one up to 65535 by --port.")


def has_display() -> bool:
    """Whether a browser window can be shown."""
    if WINDOWS or sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_when_ready(url: str, port: int, wait_s: float = 60) -> None:
    """Open the page in the person's browser as soon as the server answers."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            webbrowser.open(url)
            return
        time.sleep(0.3)


def run_app(venv: Path, options: argparse.Namespace, extra: list[str]) -> int:
    """Serve the app on this machine only, until Ctrl+C."""
    port = first_free_port(options.port or FIRST_PORT, options.port or 65535)
    url = f"http://127.0.0.1:{port}"
    server = {"server.port": port, "server.headless": "true"}
    server |= dict.fromkeys(("server.address", "browser.serverAddress"), "127.0.0.1")
    python = str(venv_command(venv, "python"))
    flags = [f"--{name}={value}" for name, value in server.items()]
    command = [python, "-m", "streamlit", "run", "app.py", *flags, *extra]
    say(f"Noise2Map Explorer: {url} (Ctrl+C ends it)")
    if not options.no_browser and has_display():
        threading.Thread(target=open_when_ready, args=(url, port), daemon=True).start()
    app = subprocess.Popen(command, cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: app.terminate())
    try:
        return app.wait()
    except KeyboardInterrupt:  # The server got the same Ctrl+C and is closing.
        app.wait()
        return 0


def lint(venv: Path) -> int:
    """Check style and layout."""
    ruff = venv_command(venv, "ruff")
    return call(ruff, "check", ".") | call(ruff, "format", "--check", ".")


def run_tests(venv: Path, extra: list[str]) -> int:
    """Lint, types, then every test; the first failing step's status."""
    cores = os.cpu_count() or 1
    workers = min(cores, MOST_TEST_WORKERS)
    env = {"OMP_NUM_THREADS": str(cores // workers), **os.environ}
    env["N2M_BROWSER"] = find_browser(venv)
    say(f"Browser of the tests: {env['N2M_BROWSER']}")
    steps = {"lint": lint(venv), "types": call(venv_command(venv, "mypy"))}
    if not env.get("N2M_DATA"):
        say("N2M_DATA is not set: the tests on real imagery are left out.")
    options = ["-rfEsR", "-n", str(workers), "--dist", "loadfile", *extra]
    tests = call(venv_command(venv, "python"), "-m", "pytest", *options, env=env)
    failed = [name for name, status in steps.items() if status]
    if failed:
        say(f"Failed before the tests, see above: {', '.join(failed)}")
    return tests or (1 if failed else 0)


def dispatch(options: argparse.Namespace, extra: list[str]) -> int:
    """Run one command in the environment; its exit status."""
    venv = set_up()
    python = venv_command(venv, "python")
    commands: dict[str, Callable[[], int]] = {
        "setup": lambda: 0,
        "run": lambda: run_app(venv, options, extra),
        "test": lambda: run_tests(venv, extra),
        "lint": lambda: lint(venv),
        "type": lambda: call(venv_command(venv, "mypy"), *extra),
        "fmt": lambda: call(venv_command(venv, "ruff"), "format", ".", *extra),
        "samples": lambda: call(venv_command(venv, "n2m"), "samples", *extra),
        "bench": lambda: call(python, "-m", "benchmarks", *extra),
        "bench-models": lambda: call(python, "-m", "benchmarks.models", *extra),
    }
    return commands[options.command]()


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what we don't know goes on to the tool behind the command."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, allow_abbrev=False)
        if name == "run":
            command.add_argument("--port", type=int, help=f"default: from {FIRST_PORT} on")
            command.add_argument("--no-browser", action="store_true", help="print the address only")
    options, extra = parser.parse_known_args(arguments)
    if extra and options.command in ("setup", "lint"):
        parser.error(f"{options.command} takes no further words: {' '.join(extra)}")
    return options, extra


def main(arguments: list[str]) -> int:
    """Run one command and answer a missing part of the machine with one sentence."""
    options, extra = parse(arguments)
    try:
        return dispatch(options, extra)
    except BootstrapError as error:
        sys.stderr.write(f"bootstrap: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
