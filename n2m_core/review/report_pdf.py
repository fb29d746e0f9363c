"""The report as a PDF, by ReportLab."""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table
from reportlab.platypus.flowables import Flowable

from n2m_core.review.report import Report, Section
from n2m_core.review.report import Table as Rows

MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * MARGIN
_HEIGHT = 110 * mm


def pdf_of(report: Report) -> bytes:
    """Lay the report out on A4."""
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=report.title,
        author="Noise2Map Explorer",
    )
    styles = getSampleStyleSheet()
    story: list[Flowable] = [
        Paragraph(escape(report.title), styles["Title"]),
        Paragraph(escape(report.subtitle), styles["Normal"]),
    ]
    for section in report.sections:
        story.extend(_section(section, styles))
    story.extend([Spacer(0, 4 * mm), Paragraph(escape(report.method), styles["Italic"])])
    document.build(story)
    return stream.getvalue()


def _section(section: Section, styles: Any) -> Iterator[Flowable]:  # noqa: ANN401 - a style sheet
    yield Spacer(0, 4 * mm)
    head: list[Flowable] = [Paragraph(escape(section.title), styles["Heading2"])]
    if section.picture is not None:
        head.extend(
            [_picture(section.picture), Paragraph(escape(section.caption), styles["Normal"])]
        )
    yield KeepTogether(head)
    for table in section.tables:
        yield Spacer(0, 2 * mm)
        yield _table(table)
    for note in section.notes:
        yield Paragraph(escape(note), styles["Normal"])


def _picture(png: bytes) -> Image:
    width, height = ImageReader(io.BytesIO(png)).getSize()
    scale = min(_WIDTH / width, _HEIGHT / height)
    return Image(io.BytesIO(png), width * scale, height * scale, hAlign="LEFT")


def _table(rows: Rows) -> Table:
    """A table whose cells wrap, so that a long name never leaves the page."""
    cell = ParagraphStyle("cell", fontName="Helvetica", fontSize=7.5, leading=9)
    head = ParagraphStyle("head", parent=cell, fontName="Helvetica-Bold")
    lines = [[Paragraph(escape(text), head) for text in rows.header]]
    lines.extend([Paragraph(escape(text), cell) for text in row] for row in rows.rows)
    count = len(rows.header)
    first = _WIDTH * (0.22 if count > 2 else 0.3)
    widths = [first, *[(_WIDTH - first) / (count - 1)] * (count - 1)] if count > 1 else None
    table = Table(lines, colWidths=widths, repeatRows=1, hAlign="LEFT")
    table.setStyle(
        [
            ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
            ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 2),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return table
