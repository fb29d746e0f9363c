"""Models: cards of weights that serve both tasks, and the studies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import tiny_checkpoints
from page_runs import OpenPage, maps_of, settle, texts
from tiny_fusion import write_tiny_fusion

from n2m_core.checkpoints import ClassInfo, read_card
from pages._ui import truths
from pages._ui.inputs import Source

MACHINE = {"date": "2026-01-02", "processor": "a processor", "torch": "2.0"}


def score(f1: float) -> dict[str, object]:
    keys = ("mean_f1", "mean_iou", "target_f1", "target_iou", "boundary_iou")
    return {"name": "a town", "scores": {key: [f1 if "f1" in key else f1 / 2] for key in keys}}


def write_study(folder: Path) -> None:
    networks = [
        {"checkpoint": "n2m-multitask", "steps": 1900, "steps_in_all": 5900, "sets": [score(0.6)]}
    ]
    tasks = [
        {"task": task, "networks": networks, "points_lost": [{"set": "a town", "points": lost}]}
        for task, lost in (("segment", 1.0), ("change", 3.0))
    ]
    results = {
        "machine": MACHINE,
        "checkpoint": "n2m-multitask",
        "most_points_lost": 2.0,
        "tasks": tasks,
        "weights": [[20, 1.0, 1.0], [40, 1.5, 0.5]],
    }
    (folder / "multitask.json").write_text(json.dumps(results))


def test_weights_of_both_tasks_are_offered_on_both_pages(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_checkpoints.write_both(tmp_path)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    for page, task in (("1_Segment", "segment"), ("2_Change", "change")):
        app = open_page(page, checkpoint="n2m-multitask")
        assert not app.exception
        assert not app.error
        assert app.selectbox(key=f"{task}.w.checkpoint").options == [f"Shared {task}"]
        assert len(maps_of(app)) == 1
        assert f"Shared {task}" in texts(app)
    app = open_page("8_Models")
    assert [each.value for each in app.subheader] == ["Shared segment", "Shared change"]
    assert not app.exception


def test_weights_that_fuse_have_cards_too(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_checkpoints.write_tiny_checkpoint(tmp_path, "n2m-buildings")
    report = {"rmse": 0.0234, "cc": None, "ssim": 0.9, "ergas": 1.5, "sam_deg": 2.25}
    metrics = ({"name": "some fields", "command": "n2m evaluate fusion", "report": report},)
    write_tiny_fusion(tmp_path, "sastf-farmland", title="Fields", metrics=metrics)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    app = open_page("8_Models")
    assert not app.exception
    assert [each.value for each in app.subheader] == ["Tiny buildings", "Fields"]
    shown = texts(app)
    for text in ("some fields", "0.0234", "2.25", "fusion at 30 m", "full, 20 steps in training"):
        assert text in shown
    app.selectbox(key="models.w.Noise process").set_value("residual")
    app.run()
    assert [each.value for each in app.subheader] == ["Fields"]


def test_a_refiners_card_says_what_became_of_the_rough_maps(
    open_page: OpenPage, checkpoints: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "n2m-buildings").symlink_to(checkpoints / "n2m-buildings")
    tiny_checkpoints.write_tiny_refiner(tmp_path, "idgbr-tiny", of="n2m-buildings")
    card = read_card("idgbr-tiny", root=tmp_path)
    rough, refined = (
        {"mean": {"f1": f1, "iou": f1 / 2}, "boundary": {"wfm": f1 / 3, "f1_3px": f1 / 4}}
        for f1 in (0.6, 0.72)
    )
    report = {"tiles": 7, "rough": rough, "refined": refined}
    metrics = ({"name": "a town", "command": "n2m evaluate refine", "report": report},)
    card = dataclasses.replace(card, metrics=metrics, sampling_draws=3)
    (tmp_path / "idgbr-tiny" / "card.json").write_text(card.to_json())
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    app = open_page("8_Models")
    assert not app.exception
    shown = texts(app)
    for each in ("0.300 → 0.360", "0.200 → 0.240", "0.150 → 0.180"):
        assert each in shown
    assert "3 DDIM steps, guidance 2, mean of 3 draws" in shown


def test_studies_are_shown_from_their_files(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_study(tmp_path)
    monkeypatch.setenv("N2M_BENCHMARKS", str(tmp_path))
    app = open_page("8_Models")
    app.segmented_control(key="models.w.view").set_value("studies")
    settle(app.run())
    assert not app.exception
    assert app.selectbox(key="models.w.study").value == "multitask"  # the one that was run
    assert "3.0 points of target F1 behind the network of that task alone, more than" in texts(app)
    assert "0.600" in texts(app)
    (plot,) = (json.loads(each.proto.spec) for each in app.get("plotly_chart"))
    assert [line["y"] for line in plot["data"]] == [[1.0, 1.5], [1.0, 0.5]]
    app.selectbox(key="models.w.score").set_value("target_iou")
    app.selectbox(key="models.w.study_task").set_value("change")
    settle(app.run())
    titles = [each.value for each in app.subheader]
    assert titles == ["Weights of the losses", "Change: target IoU"]
    assert "0.300" in texts(app)
    app.selectbox(key="models.w.study").set_value("peers")
    settle(app.run())
    assert "Peers: not measured here yet" in texts(app)
    assert "python -m benchmarks.peers build/peers" in texts(app)


def test_a_damaged_study_is_said(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "peers.json").write_text("{}")
    monkeypatch.setenv("N2M_BENCHMARKS", str(tmp_path))
    app = open_page("8_Models")
    app.segmented_control(key="models.w.view").set_value("studies")
    settle(app.run())
    assert not app.exception
    assert any("peers.json is not what" in each.value for each in app.error)


def test_a_map_of_forest_is_not_scored_against_buildings(checkpoints: Path) -> None:
    buildings = read_card("n2m-buildings", root=checkpoints)
    classes = (ClassInfo("other", "#e6e1d6"), ClassInfo("forest", "#009e73"))
    forest = dataclasses.replace(buildings, classes=classes)
    truth = Path("buildings.tif")
    source = Source("a", "A", Path("a.tif"), None, {"buildings": truth}, "", True)
    assert truths.truth_of(source, buildings) == truth
    assert truths.truth_of(source, forest) is None
