"""Where the time of a network's pass goes, by kinds of operators; for `benchmarks.scale`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from n2m_core.checkpoints import LoadedModel

BATCH, TILE_PX, PASSES = 4, 256, 3
NARROW = 32
"""Channels up to which a convolution has too little arithmetic for what it reads and writes."""
KINDS = {
    "joining of maps": ("aten::cat",),
    "SiLU": ("aten::silu", "aten::silu_"),
    "group normalisation": ("aten::native_group_norm",),
    "attention and linear layers": (
        "aten::addmm",
        "aten::bmm",
        "aten::mm",
        "aten::_softmax",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
    ),
}
Json = dict[str, Any]


def profiled(model: LoadedModel) -> list[Json]:
    """Share of the time and, for convolutions, the arithmetic a second of each kind of operator.

    Args:
        model: on the processor.

    Returns:
        `kind`, `share` (0..1) and `gflops` (10^9 operations a second, None where it is not
        counted), the longest first.
    """
    x = torch.randn(BATCH, model.model.config.in_channels, TILE_PX, TILE_PX)
    x = x.to(memory_format=torch.channels_last)
    t = torch.full((BATCH,), model.card.inference_timestep, dtype=torch.int64)
    with torch.inference_mode():
        model.model(x, t)
        with profile(
            activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True
        ) as seen:
            for _ in range(PASSES):
                model.model(x, t)
    own = {each.key: each.self_cpu_time_total for each in seen.key_averages()}
    total = sum(own.values())
    rows = [_row(kind, sum(own.get(name, 0) for name in names), total) for kind, names in
            KINDS.items()]  # fmt: skip
    for kind, is_narrow in ((f"convolutions of at most {NARROW} channels", True),
                            ("wider convolutions", False)):  # fmt: skip
        found = [
            (each.cpu_time_total, each.flops)
            for each in seen.key_averages(group_by_input_shape=True)
            if each.key == "aten::conv2d" and (min(each.input_shapes[1][:2]) <= NARROW) == is_narrow
        ]
        microseconds = sum(time for time, _ in found)
        operations = sum(flops for _, flops in found)
        rows.append(_row(kind, microseconds, total, operations))
    rest = 1 - sum(row["share"] for row in rows)
    rows.append({"kind": "everything else", "share": rest, "gflops": None})
    return sorted(rows, key=lambda row: -row["share"])


def _row(kind: str, microseconds: float, total: float, operations: float = 0.0) -> Json:
    gflops = operations / microseconds / 1e3 if operations else None
    return {"kind": kind, "share": microseconds / total, "gflops": gflops}


def table(checkpoint: str, rows: list[Json], matrix_gflops: float) -> Iterator[str]:
    """The profile as a table in Markdown."""
    yield f"Where the time of the network goes ({checkpoint}, {BATCH} tiles of {TILE_PX} px):"
    yield ""
    yield "| operators | of the time | 10⁹ operations a second | of the matrix product |"
    yield "|---|---|---|---|"
    for row in rows:
        rate = row["gflops"]
        cells = ("", "") if rate is None else (f"{rate:.0f}", f"{rate / matrix_gflops:.0%}")
        yield f"| {row['kind']} | {row['share']:.0%} | {cells[0]} | {cells[1]} |"
