"""A run of the page leaves alone what the person may have typed since it began."""

from __future__ import annotations

import pytest
from page_runs import OpenPage, settle
from streamlit.testing.v1 import AppTest

PAGES = (
    "1_Segment",
    "2_Change",
    "3_Trajectory",
    "4_Interpret",
    "5_Refine",
    "6_Fuse",
    "7_Lesson",
    "8_Models",
    "9_Review",
)
FIELDS = (
    "selectbox",
    "text_input",
    "number_input",
    "slider",
    "select_slider",
    "segmented_control",
    "checkbox",
    "toggle",
    "radio",
)


def told(app: AppTest) -> list[str]:
    """Labels of the fields whose value the last run sent to the browser."""
    fields = [field for kind in FIELDS for field in app.get(kind)]
    return [field.label for field in fields if field.proto.set_value]


@pytest.mark.parametrize("page", PAGES)
def test_a_field_is_given_its_value_once(open_page: OpenPage, page: str) -> None:
    app = open_page(page)
    settle(app.run())
    assert told(app) == []


def test_a_field_keeps_its_value_over_a_visit_elsewhere(open_page: OpenPage) -> None:
    app = open_page("1_Segment")
    app.slider(key="seg.w.threshold").set_value(0.7)
    settle(app.run())
    assert told(app) == []
    app.switch_page("pages/2_Change.py")
    settle(app.run())
    app.switch_page("pages/1_Segment.py")
    app.run()
    assert "Probability threshold" in told(app)
    assert app.slider(key="seg.w.threshold").value == pytest.approx(0.7)
    settle(app.run())
    assert app.slider(key="seg.w.threshold").value == pytest.approx(0.7)
