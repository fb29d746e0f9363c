"""The numbers of a project, computed from its decisions: what command line and report both show."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from n2m_core.review.accuracy import AccuracyEstimate, Estimate, estimate, estimate_right
from n2m_core.review.agreement import cohen_kappa, fleiss_kappa, outline_iou
from n2m_core.review.desk import all_objects, progress
from n2m_core.review.project import Project, get_source, sources
from n2m_core.review.records import Opinion, Reviewer, Sample, Source, Unit
from n2m_core.review.sampling import get_sample, samples
from n2m_core.review.units import all_units

Numbers = dict[str, Any]
_NOBODY = Opinion()
_ONLY_OBJECTS = (
    "Objects of the map were sampled and not the ground between them, so only user's accuracy can "
    "be said: what the map missed, and the true areas, need a sample of pixels or blocks."
)


def assess(project: Project, sample_id: int, *, reviewer: Reviewer | None = None) -> Numbers:
    """Estimate a map's accuracy from the answers to a sample.

    Args:
        project: where.
        sample_id: which sample.
        reviewer: whose answers; the last word of everybody when None.

    Returns:
        sample, kind, block_px, map, reviewer, seed, drawn_at, units, answered, unsure, counted,
        claims_omission, overall, total_area_m2, notes, matrix (None for objects), and classes: id,
        name, mapped_units, mapped_share, mapped_area_m2, drawn, counted, right, users, producers,
        area_share and area_m2. An estimate has value, half (of the 95 % interval), low and high, or
        is None where the sample can't say.

    Raises:
        ParameterError: no such sample.
        ReviewError: the project can't be read.
    """
    sample = get_sample(project, sample_id)
    source = get_source(project, sample.source_id)
    answers = [(unit, _said(unit, reviewer)) for unit in all_units(project, sample_id)]
    counted = [each for each in answers if each[1].verdict in ("right", "wrong")]
    unsure = sum(said.verdict == "unsure" for _, said in answers)
    still_open = len(answers) - len(counted) - unsure
    by_kind = _of_objects if sample.kind == "objects" else _of_pixels
    numbers = by_kind(sample, source, counted)
    return {
        "sample": sample.id,
        "kind": sample.kind,
        "block_px": sample.block_px,
        "map": source.name,
        "reviewer": None if reviewer is None else reviewer.name,
        "seed": sample.seed,
        "drawn_at": sample.drawn_at,
        "units": sample.units,
        "answered": len(counted) + unsure,
        "unsure": unsure,
        "counted": len(counted),
        **numbers,
        "notes": [
            *numbers["notes"],
            *_notes(sample, unsure, still_open),
            *_too_sure(numbers["classes"]),
        ],
    }


def agreement(project: Project) -> Numbers:
    """Compare reviewers on what more than one of them judged.

    Returns:
        objects and units, each with pairs {first, second, items, kappa} (Cohen) and fleiss
        {reviewers, items, kappa} over items that all of them judged, None where there are none; and
        outlines: pairs {first, second, items, mean_iou} of objects that both redrew.
    """
    found = all_objects(project)
    verdicts = [
        {name: str(said.verdict) for name, said in each.opinions.items() if said.verdict}
        for each in found
        if each.origin == "map"
    ]
    classes = [
        {
            name: "unsure" if said.verdict == "unsure" else str(said.class_id)
            for name, said in unit.opinions.items()
            if said.verdict
        }
        for sample in samples(project)
        if sample.kind != "objects"
        for unit in all_units(project, sample.id)
    ]
    outlines = [
        {name: said for name, said in each.opinions.items() if said.outline is not None}
        for each in found
    ]
    return {
        "objects": _kappas(verdicts),
        "units": _kappas(classes),
        "outlines": _outlines(outlines),
    }


def status(project: Project) -> Numbers:
    """What is in a project and how far it is.

    Returns:
        project, folder, created_at; maps {id, name, kind, checkpoint, license, crs, objects,
        judged, right, wrong, unsure, redrawn, added, added_at}; progress; samples {id, map, kind,
        units, answered}.
    """
    known = sources(project)
    by_source: dict[int, list[Any]] = {source.id: [] for source in known}
    for each in all_objects(project):
        by_source[each.source_id].append(each)
    names = {source.id: source.name for source in known}
    return {
        "project": project.title,
        "folder": str(project.folder),
        "created_at": project.created_at,
        "maps": [_map_row(source, by_source[source.id]) for source in known],
        "progress": asdict(progress(project)),
        "samples": [
            {
                "id": each.id,
                "map": names[each.source_id],
                "kind": each.kind,
                "units": each.units,
                "answered": each.answered,
            }
            for each in samples(project)
        ],
    }


def numbers_of(project: Project) -> Numbers:
    """Everything the report says in numbers: status, accuracy of every sample, agreement."""
    return {
        **status(project),
        "accuracy": [assess(project, sample.id) for sample in samples(project)],
        "agreement": agreement(project),
    }


def _map_row(source: Source, found: Sequence[Any]) -> Numbers:
    verdicts = Counter(each.current.verdict for each in found if each.origin == "map")
    return {
        "id": source.id,
        "name": source.name,
        "kind": source.kind,
        "checkpoint": source.settings.get("checkpoint"),
        "license": source.settings.get("license"),
        "crs": source.crs,
        "objects": sum(each.origin == "map" for each in found),
        "judged": sum(count for verdict, count in verdicts.items() if verdict),
        "right": verdicts["right"],
        "wrong": verdicts["wrong"],
        "unsure": verdicts["unsure"],
        "redrawn": sum(each.current.outline is not None for each in found),
        "added": sum(each.origin == "drawn" for each in found),
        "added_at": source.added_at,
    }


def _said(unit: Unit, reviewer: Reviewer | None) -> Opinion:
    return unit.current if reviewer is None else unit.opinions.get(reviewer.name, _NOBODY)


def _of_pixels(sample: Sample, source: Source, counted: Sequence[tuple[Unit, Opinion]]) -> Numbers:
    ids = [entry.id for entry in source.classes]
    strata = {stratum.class_id: stratum for stratum in sample.strata}
    matrix = np.zeros((len(ids), len(ids)), np.int64)
    for unit, said in counted:
        true = unit.class_id if said.class_id is None else said.class_id
        matrix[ids.index(unit.class_id), ids.index(true)] += 1
    mapped = [strata[each].population if each in strata else 0 for each in ids]
    found = estimate(matrix, mapped)
    areas = [stratum.area_m2 for stratum in sample.strata]
    total = None if None in areas else sum(area for area in areas if area is not None)
    missing = [
        entry.name for entry, row, size in zip(source.classes, matrix, mapped, strict=True)
        if size and not row.sum()
    ]  # fmt: skip
    notes = [] if found.is_complete else [
        f"No unit of {', '.join(missing)} has been answered, so only user's accuracy can be said: "
        "omission and areas need every class of the map, background included."
    ]  # fmt: skip
    return {
        "claims_omission": found.is_complete,
        "overall": _told(found.overall),
        "total_area_m2": total,
        "matrix": matrix.tolist(),
        "classes": [
            {
                "id": entry.id,
                "name": entry.name,
                "mapped_units": mapped[index],
                "mapped_share": float(found.weights[index]),
                "mapped_area_m2": strata[entry.id].area_m2 if entry.id in strata else 0.0,
                "drawn": strata[entry.id].drawn if entry.id in strata else 0,
                **_of_class(found, index, total),
            }
            for index, entry in enumerate(source.classes)
        ],
        "notes": notes,
    }


def _of_class(found: AccuracyEstimate, index: int, total: float | None) -> Numbers:
    share = found.shares[index]
    return {
        "counted": int(found.matrix[index].sum()),
        "right": int(found.matrix[index, index]),
        "users": _told(found.users[index]),
        "producers": _told(found.producers[index]),
        "area_share": _told(share),
        "area_m2": None if total is None else _told(share.scaled(total), most=total),
    }


def _of_objects(sample: Sample, source: Source, counted: Sequence[tuple[Unit, Opinion]]) -> Numbers:
    right, units = Counter[int](), Counter[int]()
    for unit, said in counted:
        is_right = said.verdict == "right" and said.class_id in (None, unit.class_id)
        units[unit.stratum] += 1
        right[unit.stratum] += is_right
    rows = []
    whole = sum(stratum.population for stratum in sample.strata)
    for entry in source.classes:
        own = [stratum for stratum in sample.strata if stratum.class_id == entry.id]
        if not own:
            continue
        users = estimate_right(
            [right[each.number] for each in own],
            [units[each.number] for each in own],
            [each.population for each in own],
        )
        population = sum(each.population for each in own)
        rows.append(
            {
                "id": entry.id,
                "name": entry.name,
                "mapped_units": population,
                "mapped_share": population / whole,
                "mapped_area_m2": None,
                "drawn": sum(each.drawn for each in own),
                "counted": sum(units[each.number] for each in own),
                "right": sum(right[each.number] for each in own),
                "users": _told(users),
                "producers": None,
                "area_share": None,
                "area_m2": None,
            }
        )
    empty = sum(not units[stratum.number] for stratum in sample.strata)
    notes = [_ONLY_OBJECTS]
    if empty:
        notes.append(
            f"{empty} of {len(sample.strata)} strata of size and confidence have no answer yet; "
            "user's accuracy of their classes waits for one."
        )
    single = sum(units[stratum.number] == 1 and stratum.population > 1 for stratum in sample.strata)
    if single:
        notes.append(f"{single} strata have one answer; an interval needs two of each.")
    return {
        "claims_omission": False,
        "overall": None,
        "total_area_m2": None,
        "matrix": None,
        "classes": rows,
        "notes": notes,
    }


def _told(found: Estimate, most: float = 1.0) -> Numbers | None:
    """An estimate for JSON; its interval ends at what is possible."""
    if found.value is None:
        return None
    if found.half is None:
        return {"value": found.value, "half": None, "low": None, "high": None}
    low, high = max(0.0, found.value - found.half), min(most, found.value + found.half)
    return {"value": found.value, "half": found.half, "low": low, "high": high}


def _notes(sample: Sample, unsure: int, still_open: int) -> list[str]:
    notes = []
    if sample.kind == "blocks":
        notes.append(
            f"Units are blocks of {sample.block_px} x {sample.block_px} px; each counts as what "
            "most of it is, on the map and in truth."
        )
    if still_open:
        notes.append(f"{still_open} of {sample.units} units are still open and not counted.")
    if unsure:
        notes.append(f"{unsure} units could not be told and are not counted.")
    return notes


def _too_sure(rows: Sequence[Numbers]) -> list[str]:
    """Name the classes whose interval has no length although not all of them was seen."""
    names = [
        row["name"]
        for row in rows
        if row["users"] and row["users"]["half"] == 0 and row["counted"] < row["mapped_units"]
    ]
    if not names:
        return []
    return [
        f"All answered units of {', '.join(names)} agree, so that the interval has no length; more "
        "units may find an exception."
    ]


def _kappas(items: Sequence[Mapping[str, str]]) -> Numbers:
    people = sorted({name for item in items for name in item})
    categories = sorted({value for item in items for value in item.values()})
    pairs = []
    for first, second in itertools.combinations(people, 2):
        both = [item for item in items if first in item and second in item]
        matrix = np.zeros((len(categories), len(categories)), np.int64)
        for item in both:
            matrix[categories.index(item[first]), categories.index(item[second])] += 1
        kappa = cohen_kappa(matrix) if both else None
        pairs.append({"first": first, "second": second, "items": len(both), "kappa": kappa})
    whole = [item for item in items if len(item) == len(people)]
    fleiss = None
    if len(people) > 1 and whole:
        counts = [[list(item.values()).count(value) for value in categories] for item in whole]
        fleiss = {"reviewers": people, "items": len(whole), "kappa": fleiss_kappa(counts)}
    return {"pairs": [pair for pair in pairs if pair["items"]], "fleiss": fleiss}


def _outlines(items: Sequence[Mapping[str, Opinion]]) -> list[Numbers]:
    people = sorted({name for item in items for name in item})
    rows = []
    for first, second in itertools.combinations(people, 2):
        alike = [
            outline_iou(one, other)
            for item in items
            if first in item
            and second in item
            and (one := item[first].outline) is not None
            and (other := item[second].outline) is not None
        ]
        if alike:
            mean = statistics.fmean(alike)
            rows.append({"first": first, "second": second, "items": len(alike), "mean_iou": mean})
    return rows
