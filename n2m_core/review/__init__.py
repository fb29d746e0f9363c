"""The review desk: people judge, correct and complete what a map found.

| file | what |
|---|---|
| schema, store | the tables and their versions; the database file, kept whole |
| project, records | a project, its reviewers and maps; what it holds |
| importing | a map's polygons become objects |
| decisions, desk | what is said of them, and stepping through them |
| geometry | outlines, ground areas, places in order |
"""

from n2m_core.review.decisions import add_object, decide, history, undo
from n2m_core.review.desk import (
    all_objects,
    get_object,
    next_object,
    objects_in,
    previous_object,
    progress,
)
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
    Scope,
    Source,
    Verdict,
)

__all__ = [
    "Entry",
    "NewSource",
    "Opinion",
    "Order",
    "Progress",
    "Project",
    "ReviewClass",
    "ReviewObject",
    "Reviewer",
    "ReviewerProgress",
    "Scope",
    "Source",
    "Verdict",
    "add_map",
    "add_object",
    "add_source",
    "all_objects",
    "create_project",
    "decide",
    "get_object",
    "get_source",
    "history",
    "is_project",
    "join",
    "next_object",
    "objects_in",
    "open_or_create",
    "open_project",
    "picture",
    "previous_object",
    "progress",
    "reviewers",
    "sources",
    "undo",
]
