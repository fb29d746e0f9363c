"""Uploaded files: copied under names of our own into a folder that ends with the session."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

IMAGE_TYPES = ("tif", "tiff", "png", "jpg", "jpeg")
POLYGON_TYPES = ("geojson", "gpkg")


@dataclass(frozen=True)
class Upload:
    """A file that a person brought.

    Attributes:
        name: the name it had, for the eye only.
        path: where its bytes lie, under a name of ours.
        digest: SHA-256 of the bytes, hexadecimal.
    """

    name: str
    path: Path
    digest: str


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
    path = Path(_session_folder().name) / f"{digest[:24]}{suffix}"
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            shutil.copyfileobj(file, out)
        part.replace(path)
    return Upload(name, path, digest)
