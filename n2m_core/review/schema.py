"""The tables of a review project, and the steps that bring an older file up to date.

The file is a GeoPackage (OGC 12-128r19): an SQLite database in which any GIS finds one layer a map.
The layers are views, so a GIS shows how the review stands and can't change it; what people say lies
in `entries`, to which triggers let nobody but add. Each map's polygons keep that map's own CRS.

Every step of `MIGRATIONS` is what it was when its version was current: a new version adds a step
and never edits one.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, String, Table

APPLICATION_ID = 0x47504B47
"""GPKG, as GeoPackage clause 2 wants it in the header of the file."""
USER_VERSION = 10300
"""The version of GeoPackage, 1.3; our own is `project.schema_version`."""

_metadata = MetaData()

project = Table(
    "project",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer),
    Column("title", String),
    Column("created_at", String),
)
reviewers = Table(
    "reviewers",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("joined_at", String),
)
sources = Table(
    "sources",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("kind", String),
    Column("crs", String),
    Column("srs_id", Integer),
    Column("transform", String),
    Column("width", Integer),
    Column("height", Integer),
    Column("resolution_m", Float),
    Column("image", String),
    Column("before", String),
    Column("map", String),
    Column("settings", String),
    Column("notes", String),
    Column("added_at", String),
)
classes = Table(
    "classes",
    _metadata,
    Column("source_id", Integer, primary_key=True),
    Column("class_id", Integer, primary_key=True),
    Column("name", String),
    Column("color", String),
    Column("is_background", Integer),
)


def _objects(name: str) -> Table:
    return Table(
        name,
        _metadata,
        Column("id", Integer, primary_key=True),
        Column("source_id", Integer),
        Column("origin", String),
        Column("class_id", Integer),
        Column("area_m2", Float),
        Column("area_px", Float),
        Column("confidence", Float),
        Column("decision_time", Float),
        Column("geom", LargeBinary),
        Column("min_x", Float),
        Column("min_y", Float),
        Column("max_x", Float),
        Column("max_y", Float),
        Column("place", Integer),
        Column("shuffle", Float),
    )


def _entries(name: str) -> Table:
    return Table(
        name,
        _metadata,
        Column("id", Integer, primary_key=True),
        Column("object_id", Integer),
        Column("reviewer_id", Integer),
        Column("at", String),
        Column("kind", String),
        Column("verdict", String),
        Column("class_id", Integer),
        Column("comment", String),
        Column("geom", LargeBinary),
        Column("area_m2", Float),
        Column("area_px", Float),
        Column("seconds", Float),
        Column("undoes", Integer),
        Column("unit_id", Integer),
    )


objects = _objects("objects")
live_objects = _objects("live_objects")
"""View: objects of the maps, and drawn ones that nobody has taken back."""
entries = _entries("entries")
live_entries = _entries("live_entries")
"""View: entries that nobody has taken back."""
spatial_ref_sys = Table(
    "gpkg_spatial_ref_sys",
    _metadata,
    Column("srs_name", String),
    Column("srs_id", Integer, primary_key=True),
    Column("organization", String),
    Column("organization_coordsys_id", Integer),
    Column("definition", String),
    Column("description", String),
)
samples = Table(
    "samples",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", Integer),
    Column("kind", String),
    Column("block_px", Integer),
    Column("seed", Integer),
    Column("drawn_at", String),
)
strata = Table(
    "strata",
    _metadata,
    Column("sample_id", Integer, primary_key=True),
    Column("stratum", Integer, primary_key=True),
    Column("class_id", Integer),
    Column("name", String),
    Column("population", Integer),
    Column("area_m2", Float),
    Column("drawn", Integer),
)
units = Table(
    "units",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("sample_id", Integer),
    Column("rank", Integer),
    Column("stratum", Integer),
    Column("object_id", Integer),
    Column("row", Integer),
    Column("col", Integer),
)
TABLES = (
    project,
    reviewers,
    sources,
    classes,
    objects,
    entries,
    spatial_ref_sys,
    samples,
    strata,
    units,
)

_GEOPACKAGE = (
    """CREATE TABLE gpkg_spatial_ref_sys (
        srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
        organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT)""",
    """CREATE TABLE gpkg_contents (
        table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
        description TEXT DEFAULT '',
        last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
        srs_id INTEGER REFERENCES gpkg_spatial_ref_sys (srs_id))""",
    """CREATE TABLE gpkg_geometry_columns (
        table_name TEXT NOT NULL UNIQUE REFERENCES gpkg_contents (table_name),
        column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
        srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys (srs_id),
        z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name))""",
    """INSERT INTO gpkg_spatial_ref_sys VALUES
        ('Undefined cartesian SRS', -1, 'NONE', -1, 'undefined', 'pixels (column, row)'),
        ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', NULL)""",
    """INSERT INTO gpkg_spatial_ref_sys VALUES ('WGS 84', 4326, 'EPSG', 4326,
        'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,'
        || 'AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,'
        || 'AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
        || 'AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]]', NULL)""",
)
_VERSION_1 = (
    *_GEOPACKAGE,
    """CREATE TABLE project (
        id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL,
        title TEXT NOT NULL, created_at TEXT NOT NULL)""",
    """CREATE TABLE reviewers (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        joined_at TEXT NOT NULL)""",
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, crs TEXT,
        srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys (srs_id),
        transform TEXT, width INTEGER, height INTEGER, resolution_m REAL,
        image TEXT, before TEXT, map TEXT, settings TEXT NOT NULL, notes TEXT NOT NULL,
        added_at TEXT NOT NULL)""",
    """CREATE TABLE classes (
        source_id INTEGER NOT NULL REFERENCES sources (id), class_id INTEGER NOT NULL,
        name TEXT NOT NULL, color TEXT NOT NULL, is_background INTEGER NOT NULL,
        PRIMARY KEY (source_id, class_id))""",
    """CREATE TABLE objects (
        id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources (id),
        origin TEXT NOT NULL CHECK (origin IN ('map', 'drawn')), class_id INTEGER NOT NULL,
        area_m2 REAL, area_px REAL, confidence REAL, decision_time REAL, geom BLOB NOT NULL,
        min_x REAL NOT NULL, min_y REAL NOT NULL, max_x REAL NOT NULL, max_y REAL NOT NULL,
        place INTEGER NOT NULL, shuffle REAL NOT NULL,
        FOREIGN KEY (source_id, class_id) REFERENCES classes (source_id, class_id))""",
    "CREATE INDEX objects_of_source ON objects (source_id)",
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, object_id INTEGER REFERENCES objects (id),
        reviewer_id INTEGER NOT NULL REFERENCES reviewers (id), at TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('decide', 'add', 'undo')),
        verdict TEXT CHECK (verdict IN ('right', 'wrong', 'unsure')), class_id INTEGER,
        comment TEXT, geom BLOB, area_m2 REAL, area_px REAL, seconds REAL,
        undoes INTEGER UNIQUE REFERENCES entries (id),
        CHECK ((kind = 'undo') = (undoes IS NOT NULL)))""",
    "CREATE INDEX entries_of_object ON entries (object_id)",
    "CREATE INDEX entries_of_reviewer ON entries (reviewer_id)",
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END""",
    """CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END""",
    """CREATE VIEW live_entries AS SELECT * FROM entries AS e
        WHERE e.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM entries WHERE undoes = e.id)""",
    """CREATE VIEW live_objects AS SELECT * FROM objects AS o WHERE o.origin = 'map' OR EXISTS
        (SELECT 1 FROM live_entries WHERE object_id = o.id AND kind = 'add')""",
)

_VERSION_2 = (
    """CREATE TABLE samples (
        id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources (id),
        kind TEXT NOT NULL CHECK (kind IN ('points', 'blocks', 'objects')),
        block_px INTEGER NOT NULL, seed INTEGER NOT NULL, drawn_at TEXT NOT NULL)""",
    """CREATE TABLE strata (
        sample_id INTEGER NOT NULL REFERENCES samples (id), stratum INTEGER NOT NULL,
        class_id INTEGER NOT NULL, name TEXT NOT NULL, population INTEGER NOT NULL, area_m2 REAL,
        drawn INTEGER NOT NULL, PRIMARY KEY (sample_id, stratum))""",
    """CREATE TABLE units (
        id INTEGER PRIMARY KEY, sample_id INTEGER NOT NULL, rank INTEGER NOT NULL,
        stratum INTEGER NOT NULL, object_id INTEGER REFERENCES objects (id), row INTEGER,
        col INTEGER, UNIQUE (sample_id, rank),
        FOREIGN KEY (sample_id, stratum) REFERENCES strata (sample_id, stratum))""",
    "ALTER TABLE entries ADD COLUMN unit_id INTEGER REFERENCES units (id)",
    "CREATE INDEX entries_of_unit ON entries (unit_id)",
    "DROP VIEW live_entries",
    """CREATE VIEW live_entries AS SELECT * FROM entries AS e
        WHERE e.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM entries WHERE undoes = e.id)""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)
"""Statements from version n to n + 1, from an empty file on."""
SCHEMA_VERSION = len(MIGRATIONS)
"""The version that this program writes."""


def layer_view(source_id: int) -> str:
    """Statement that makes the layer of a map: its objects as the last word on each has them."""

    def latest(column: str) -> str:
        return (
            f"(SELECT l.{column} FROM live_entries AS l WHERE l.object_id = o.id "
            f"AND l.{column} IS NOT NULL ORDER BY l.id DESC LIMIT 1)"
        )

    redrawn = (
        "(SELECT l.{0} FROM live_entries AS l WHERE l.object_id = o.id "
        "AND l.geom IS NOT NULL ORDER BY l.id DESC LIMIT 1)"
    )
    return f"""CREATE VIEW {layer_name(source_id)} AS SELECT o.id AS OGC_FID,
        COALESCE({latest("geom")}, o.geom) AS geom, c.name AS class,
        CAST(COALESCE({latest("class_id")}, o.class_id) AS INTEGER) AS class_id,
        CAST(COALESCE({redrawn.format("area_m2")}, o.area_m2) AS REAL) AS area_m2,
        o.confidence, o.origin,
        {latest("verdict")} AS verdict, {latest("comment")} AS comment,
        (SELECT r.name FROM live_entries AS l JOIN reviewers AS r ON r.id = l.reviewer_id
            WHERE l.object_id = o.id ORDER BY l.id DESC LIMIT 1) AS reviewer,
        (SELECT MAX(l.at) FROM live_entries AS l WHERE l.object_id = o.id) AS decided_at
        FROM live_objects AS o JOIN classes AS c ON c.source_id = o.source_id
        AND c.class_id = COALESCE({latest("class_id")}, o.class_id)
        WHERE o.source_id = {source_id:d}"""


def layer_name(source_id: int) -> str:
    """Name of a map's layer in the GeoPackage."""
    return f"map_{source_id:d}"
