"""Write files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from n2m_core.errors import OutputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder and a rename.

    Args:
        path: final name; its folder is made when missing.
        data: the whole content.

    Raises:
        OutputError: the folder can't be written to; what was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as e:
        raise OutputError(f"{path} can't be written ({e.strerror}); choose another place.") from e
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        part.chmod(0o644)
        part.replace(path)
    except OSError as e:
        raise OutputError(f"{path} can't be written ({e.strerror}); choose another place.") from e
    finally:
        part.unlink(missing_ok=True)
