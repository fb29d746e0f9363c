"""Home: what the app does in one picture and one sentence, the samples, the state of the models."""

from __future__ import annotations

from pages._ui import frame

frame.open_page(
    frame.NAME,
    "See a diffusion network turn a satellite picture into a map in one pass, watch the map form "
    "out of noise, and take it home as GeoTIFF or polygons.",
)
