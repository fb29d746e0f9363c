"""What the figures draw, where the picture alone would not tell."""

from __future__ import annotations

from pages._ui import figures
from pages._ui.figures import Curve


def test_an_interval_is_an_area_without_marks() -> None:
    """Of few points Plotly marks each by itself, and those of a band have colours of no curve."""
    curve = Curve("F1", (999, 500, 0), (0.1, 0.4, 0.8), (0.0, 0.3, 0.7), (0.2, 0.5, 0.9))
    figure = figures.over_timesteps([curve], "F1")
    (band,) = (trace for trace in figure.data if trace.fill == "toself")
    assert band.mode == "lines"
    assert band.line.width == 0
    assert max(band.y) == 0.9
