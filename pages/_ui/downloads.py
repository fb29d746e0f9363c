"""A row of files to take home; each is made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

ICONS = {
    ".geojson": "polyline",
    ".gif": "gif_box",
    ".gpkg": "polyline",
    ".html": "article",
    ".json": "data_object",
    ".mp4": "movie",
    ".pdf": "picture_as_pdf",
    ".png": "image",
    ".tif": "grid_on",
    ".zip": "folder_zip",
}
MIMES = {
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".gpkg": "application/geopackage+sqlite3",
    ".html": "text/html",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".zip": "application/zip",
}


@dataclass(frozen=True)
class File:
    """A file that a person can take home.

    Attributes:
        label: on its button.
        ending: of its name, from where the row's stem ends; its kind is read from it.
        make: gives its bytes, when it is asked for.
        icon: of Material Symbols, where it is not the usual one of its kind.
    """

    label: str
    ending: str
    make: Callable[[], bytes]
    icon: str = ""

    @property
    def kind(self) -> str:
        """From the last dot on."""
        return self.ending[self.ending.rindex(".") :]


def row(page: str, key: str, stem: str, files: Sequence[File]) -> None:
    """Show a button for each file.

    Args:
        page: the page's short name, with which the buttons' keys begin.
        key: of the row.
        stem: with which the files' names begin.
        files: in the order of their buttons.
    """
    with st.container(horizontal=True, key=key):
        for file in files:
            st.download_button(
                file.label,
                data=file.make,
                file_name=stem + file.ending,
                mime=MIMES[file.kind],
                icon=f":material/{file.icon or ICONS[file.kind]}:",
                on_click="ignore",
                key=f"{page}.download.{file.label}",
            )
