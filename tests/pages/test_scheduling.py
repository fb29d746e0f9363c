"""The schedules side by side on the Interpret page: which are one, what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_runs import texts
from streamlit.testing.v1 import AppTest

from pages._ui import mixing, scheduling


def test_only_schedules_of_equal_weights_are_one_family() -> None:
    found = scheduling.families()
    assert [family.names for family in found] == [("ddpm", "ddim", "pndm"), ("heun",), ("cosine",)]
    assert [family.keeps_size for family in found] == [True, False, True]
    assert found[0].spread == 0


def test_sentences_follow_from_the_weights() -> None:
    alike, heun, cosine = scheduling.sentences(scheduling.families())
    assert alike.startswith("DDPM, DDIM and PNDM: the largest difference of their weights, over")
    assert "is 0." in alike
    assert "grows to 157 times the picture's size, at t = 999" in heun
    assert "ratio of picture to noise is that of DDPM at every t" in heun
    assert "weigh the same at t = 495, with DDPM at t = 258; it keeps the picture longer" in cosine


def test_sentences_change_with_other_weights() -> None:
    """A schedule like Heun's with half the noise: half the growth, another ratio."""
    first, heun, _ = scheduling.families()
    halved = replace(heun.schedule, noise=heun.schedule.noise / 2)
    _, text = scheduling.sentences((first, replace(heun, schedule=halved)))
    assert "grows to 79 times" in text
    assert "ratio of picture to noise" not in text


def test_curves_are_those_of_the_schedules() -> None:
    ddpm, heun, cosine = scheduling.families()
    place = scheduling.PLOT_STEPS.index(999)
    assert scheduling.values(ddpm, "alpha")[place] == pytest.approx(0.0064**2, rel=0.02)
    assert scheduling.values(heun, "size")[place] == pytest.approx(157, abs=1)
    assert max(abs(size - 1) for size in scheduling.values(cosine, "size")) < 1e-3
    assert scheduling.values(ddpm, "snr") == pytest.approx(scheduling.values(heun, "snr"), abs=0.01)


def test_the_swapped_pair_adds_to_a_picture_that_it_is_like() -> None:
    ddpm, heun, _ = scheduling.families()
    assert max(scheduling.values(ddpm, "size", "swap")) == pytest.approx(2**0.5, abs=0.01)
    assert scheduling.values(heun, "size", "swap")[scheduling.PLOT_STEPS.index(999)] > 157
    x0 = np.full((6, 4, 4), 0.5, np.float32)  # both dates alike
    t = int(ddpm.size("swap").argmax())
    mixed = mixing.mixed(x0, t, "swap")
    assert float(mixed.mean()) == pytest.approx(0.5 * float(ddpm.size("swap")[t]), rel=1e-3)


def test_pictures_show_the_model_range() -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 3.0], np.float32).reshape(1, 1, 5).repeat(3, 0)
    assert mixing.picture(x)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    x0 = np.full((6, 4, 4), 0.5, np.float32)
    x0[3:] = -0.5
    met = mixing.mixed(x0, 258, "swap")
    assert np.abs(met[:3] - met[3:]).max() < 1e-3
    np.testing.assert_array_equal(mixing.mixed(x0, 700, "none"), x0)


def explained(samples: Path, sample: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The explanation alone, on a page of its own."""

    def script(sample: str, kind: str) -> None:
        from pages._ui import inputs, scheduling

        found = inputs.sources("change" if kind == "swap" else "segment")
        scheduling.explain(found[sample], kind)

    monkeypatch.setenv("N2M_SAMPLES", str(samples))
    return AppTest.from_function(script, args=(sample, kind), default_timeout=120).run()


def test_scenes_x_t_is_shown_for_each_distinct_schedule(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = explained(samples, "first", "gaussian", monkeypatch)
    assert not app.exception
    assert len(app.get("plotly_chart")) == 3
    strip = next(part for part in texts(app).splitlines() if 'class="n2m-rows"' in part)
    assert strip.count("<figure>") == 3 * len(scheduling.STRIP_STEPS)
    assert "t = 999: 1.00 x + 157" in strip
    pictures = {line.split('"')[0] for line in strip.split('src="')[1:]}
    assert len(pictures) == strip.count("<figure>")


def test_pair_is_mixed_with_itself_in_the_strip(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = explained(samples, "pair", "swap", monkeypatch)
    assert not app.exception
    assert "n the same pair in the other order" in texts(app)
