"""What the server does beside the pages."""

from __future__ import annotations

import gc
import tomllib
from pathlib import Path

from pages._ui import server

ROOT = Path(__file__).resolve().parents[2]


def test_the_packages_are_spared_by_the_garbage_collector() -> None:
    """A full collection through all of torch holds everybody up for half a second."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["runner"]["postScriptGC"] is False
    try:
        server._import_slow_packages()
        assert gc.get_freeze_count() > 50_000
        assert len(gc.get_objects()) < 50_000
    finally:
        gc.unfreeze()
