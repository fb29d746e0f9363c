"""Home: what the app does in one picture and one sentence, the samples, the state of the models."""

from __future__ import annotations

from pages._ui import errors, frame, home

frame.open_page(
    frame.NAME,
    "A diffusion network turns a satellite picture into a map in a single pass. Watch the map form "
    "out of noise, measure what each step does, and take it home as GeoTIFF or polygons.",
)
for part in (home.hero, home.gallery, home.status):
    with errors.guard():
        part()
