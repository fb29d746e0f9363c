"""Tables of the studies of change far from home, from the values that their scripts wrote."""

from __future__ import annotations

from collections.abc import Iterable

from n2m_core.normalize import FAR
from n2m_core.tasks.study_tables import Json, Shown, Table, measured_on


def landsat(raw: Json, score: str) -> Shown:
    """Scores of the labelled pixels by checkpoint and choice of bands."""
    formula = raw["without_learning"]
    places = [each["name"] for each in formula["per_tile"]]
    entries = [
        *(({"bands": "", **each}) for each in raw["checkpoints"]),
        {"checkpoint": formula["name"], "bands": "all", **formula},
    ]
    rows = tuple(
        (
            each["checkpoint"],
            each["bands"],
            f"{each['target']['f1']:.3f}",
            f"{each['target']['iou']:.3f}",
            *(f"{tile['f1']:.3f}" for tile in each["per_tile"]),
        )
        for each in entries
    )
    header = ("map by", "bands", "target F1", "target IoU", *(f"F1 {name}" for name in places))
    notes = [f"Pixels of {raw['resolution_m']} m are taken for the size that the weights know."]
    if raw["checkpoints"]:
        best = max(raw["checkpoints"], key=lambda each: float(each["target"]["f1"]))
        flat = best["all_positive"]["f1"]
        word = "below" if best["target"]["f1"] < flat else "above"
        notes.append(
            f"The best of our maps, by {best['checkpoint']}, has F1 {best['target']['f1']:.3f}, "
            f"{word} the {flat:.3f} of a map of nothing but change; {formula['name']} has "
            f"{formula['target']['f1']:.3f}."
        )
        notes += _gathered(note for each in raw["checkpoints"] for note in each["notes"])
    return Shown((*notes, measured_on(raw)), (Table("Labelled pixels", header, rows, "change"),))


def _gathered(notes: Iterable[str]) -> list[str]:
    """Notes of many images, each once; that images are unlike the weights' own is told once."""
    told = list(notes)
    far = [note for note in told if FAR in note]
    found = list(dict.fromkeys(note for note in told if FAR not in note))
    if far:
        more = " The other dates and choices of bands are told much the same." if far[1:] else ""
        found.append(far[0] + more)
    return found


def wildfire(raw: Json, score: str) -> Shown:
    """The paper's rows as far as the data go, beside the published figures and what differs."""
    del score  # the published ones are shown
    rows = []
    for each in raw["rows"]:
        rows.append(_scores(each["row"], each))
        published = (f"{each[key]:.4f}" for key in ("mean_f1", "mean_iou"))
        rows.append((f"{each['row']}, published", *published, "-", "-", "-"))
    best = raw["full_resolution"]
    if best is not None:
        rows.append(_scores(f"{best['checkpoint']}, the same pairs at full resolution", best))
    header = ("row", "mean F1", "mean IoU", "target F1", "target IoU", "all called destroyed, F1")
    notes = (
        f"Tiles of {raw['tile_px']} px: {raw['tiles']['train']} for training, "
        f"{raw['tiles']['test']} scored. The mean over both classes is what the paper reports; it "
        "flatters, for most of every tile is unchanged.",
        "In segmentation the image before the fire alone is shown, as in the released code, and "
        "the mask is what the fire destroyed afterwards: houses can be learned, not which of them "
        "burnt, other than by place and kind.",
        measured_on(raw),
    )
    names = [each["row"] for each in raw["rows"]]
    tables = (
        Table("Pairs that were kept out", header, tuple(rows), "change"),
        Table("What differs", ("", "paper", *names), _apart(raw), "change"),
    )
    return Shown(notes, tables)


def _scores(name: str, entry: Json) -> tuple[str, ...]:
    """A row of scores."""
    mean, target = entry["mean"], entry["target"]
    values = (mean["f1"], mean["iou"], target["f1"], target["iou"], entry["all_positive"]["f1"])
    return (name, *(f"{value:.4f}" for value in values))


def _apart(raw: Json) -> tuple[tuple[str, ...], ...]:
    """The paper's conditions beside those of every row."""
    rows, tiles = raw["rows"], raw["tiles"]
    trained = f"{tiles['train']} tiles of its test split"
    return (
        ("trained on", "the train split of this fire in xBD", *[trained] * len(rows)),
        ("scored on", "72 tiles of the test split", *[f"{tiles['test']} of them"] * len(rows)),
        ("weights", "113.7 million", *(f"{each['parameters'] / 1e6:.1f} million" for each in rows)),
        ("backbone before", "denoised AID", *(str(each["start"]) for each in rows)),
        ("training", "200 epochs", *(_length(each, tiles["train"]) for each in rows)),
        ("optimizer", "Adam at 0.0001", *(_optimizer(each["optimizer"]) for each in rows)),
        ("augmentation", "none", *(_augmentation(each["augmented"]) for each in rows)),
        ("shown of a tile", "the tile", *["the tile, continued by its mirror"] * len(rows)),
        ("weights kept", "best epoch on the scored tiles", *["last step"] * len(rows)),
    )


def _length(row: Json, tiles: int) -> str:
    """Steps and epochs of a training."""
    return f"{row['steps']} steps, {row['samples'] / tiles:.0f} epochs"


def _optimizer(options: Json) -> str:
    """An optimizer and what is done about it, in words."""
    names = {"adamw": "AdamW", "muon": "Muon"}
    averaged = ", averaged weights" if options["ema_decay"] else ""
    return (
        f"{names[options['kind']]} at {options['learning_rate']:g}, "
        f"{options['warmup_steps']} steps of warm-up{averaged}"
    )


def _augmentation(kinds: list[str]) -> str:
    """What is done to a crop; every one is turned by quarter turns and mirrored."""
    return ", ".join(["quarter turns and mirroring", *kinds])
