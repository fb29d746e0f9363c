"""Files that a person brings: uploads, kept in a folder that ends with the session, and paths.

An upload is copied under a name of our own. A path on the server is opened where it lies, and only
below the folder that `N2M_OPEN_PATHS` names; without it nobody is offered to type one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from n2m_core.errors import ImageReadError, N2MError

IMAGE_TYPES = ("tif", "tiff", "png", "jpg", "jpeg")
POLYGON_TYPES = ("geojson", "gpkg")


@dataclass(frozen=True)
class Upload:
    """A file that a person brought.

    Attributes:
        name: the name it had, for the eye only.
        path: where its bytes lie: under a name of ours, or where the server has it.
        digest: SHA-256 of the bytes, or of path and state of a file on the server, hexadecimal.
        shown: how the person would name it in a command.
    """

    name: str
    path: Path
    digest: str
    shown: str


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda held: held.cleanup())
def _session_folder() -> tempfile.TemporaryDirectory[str]:
    """A private folder (mode 700), removed when the session ends or the server stops."""
    return tempfile.TemporaryDirectory(prefix="n2m-", ignore_cleanup_errors=True)


def keep(file: UploadedFile) -> Upload:
    """Copy an uploaded file into the session's folder; the same bytes are kept once."""
    data = file.getbuffer()
    digest = hashlib.sha256(data).hexdigest()
    name = PurePosixPath(file.name.replace("\\", "/")).name[:120] or "upload"
    suffix = Path(name).suffix.lower()
    if suffix.lstrip(".") not in (*IMAGE_TYPES, *POLYGON_TYPES):
        suffix = ".bin"
    path = folder() / f"{digest[:24]}{suffix}"
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            shutil.copyfileobj(file, out)
        part.replace(path)
    return Upload(name, path, digest, name)


def named(error: N2MError, upload: Upload) -> N2MError:
    """Tell an error of a file that `keep` copied by the name that it had, not by ours."""
    text = str(error).replace(upload.path.name, upload.name).replace(upload.path.stem, upload.name)
    return type(error)(text)


def folder() -> Path:
    """The session's private folder."""
    return Path(_session_folder().name)


def open_root() -> Path | None:
    """The folder whose files visitors may open by their path; None when there is none."""
    named = os.environ.get("N2M_OPEN_PATHS", "").strip()
    return Path(named).resolve() if named else None


def open_path(text: str) -> Upload:
    """Take a file on the server by its path, absolute or below the folder that may be opened.

    Raises:
        ImageReadError: outside that folder once links are followed, or not a file.
    """
    root = open_root()
    refusal = ImageReadError(
        f"{text[:200]!r} is no file in the folder that this server opens; give the path of an "
        "image below it."
    )
    try:
        path = None if root is None else (root / text.strip()).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or a NUL character
        raise refusal from error
    # One sentence for all: what lies outside is not told apart from what isn't there.
    if root is None or path is None or not path.is_relative_to(root) or not path.is_file():
        raise refusal
    state = f"{path}@{path.stat().st_mtime_ns}"
    return Upload(path.name, path, hashlib.sha256(state.encode()).hexdigest(), str(path))
