"""The review desk: people judge, correct and complete what a map found.

| file | what |
|---|---|
| schema, store | the tables and their versions; the database file, kept whole |
| backups | copies of the database, and the way back |
| project, records | a project, its reviewers and maps; what it holds |
| importing, files | a map's polygons, or those of a file, become objects |
| exporting | corrected polygons and masks |
| report, report_pdf, overview | the report: HTML, PDF, and its pictures |
| decisions, desk | what is said of them, and stepping through them |
| sampling, units | random samples of pixels, blocks or objects, and what is really there |
| assessment | the numbers of a project, for the report and the command line |
| accuracy, agreement | estimates with intervals, sample sizes; kappas, outlines alike |
| geometry | outlines, ground areas, places in order |
"""

from n2m_core.review.assessment import agreement, assess, numbers_of, status
from n2m_core.review.backups import backup, restore
from n2m_core.review.decisions import add_object, decide, history, undo
from n2m_core.review.desk import (
    all_objects,
    get_object,
    next_object,
    objects_in,
    previous_object,
    progress,
)
from n2m_core.review.exporting import export_polygons, polygons_of_review, write_masks
from n2m_core.review.files import PolygonFile, add_file
from n2m_core.review.importing import NewSource, add_map, add_source
from n2m_core.review.project import (
    Project,
    create_project,
    get_source,
    is_project,
    join,
    open_or_create,
    open_project,
    picture,
    reviewers,
    sources,
)
from n2m_core.review.records import (
    Entry,
    Opinion,
    Order,
    Progress,
    ReviewClass,
    Reviewer,
    ReviewerProgress,
    ReviewObject,
    Sample,
    Scope,
    Source,
    Stratum,
    Unit,
    Verdict,
)
from n2m_core.review.report import write_report
from n2m_core.review.sampling import (
    SampleParams,
    class_pixels,
    draw_objects,
    draw_pixels,
    get_sample,
    samples,
)
from n2m_core.review.units import all_units, answer, get_unit, next_unit, previous_unit

__all__ = [
    "Entry",
    "NewSource",
    "Opinion",
    "Order",
    "PolygonFile",
    "Progress",
    "Project",
    "ReviewClass",
    "ReviewObject",
    "Reviewer",
    "ReviewerProgress",
    "Sample",
    "SampleParams",
    "Scope",
    "Source",
    "Stratum",
    "Unit",
    "Verdict",
    "add_file",
    "add_map",
    "add_object",
    "add_source",
    "agreement",
    "all_objects",
    "all_units",
    "answer",
    "assess",
    "backup",
    "class_pixels",
    "create_project",
    "decide",
    "draw_objects",
    "draw_pixels",
    "export_polygons",
    "get_object",
    "get_sample",
    "get_source",
    "get_unit",
    "history",
    "is_project",
    "join",
    "next_object",
    "next_unit",
    "numbers_of",
    "objects_in",
    "open_or_create",
    "open_project",
    "picture",
    "polygons_of_review",
    "previous_object",
    "previous_unit",
    "progress",
    "restore",
    "reviewers",
    "samples",
    "sources",
    "status",
    "undo",
    "write_masks",
    "write_report",
]
