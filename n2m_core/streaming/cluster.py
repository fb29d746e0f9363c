"""Work through the blocks of a scene on dask workers.

A worker opens the files and the weights for itself, once, so only the job's few values and the
blocks' results travel. The client alone writes. A block whose worker dies is given to another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from n2m_core.errors import ParameterError
from n2m_core.streaming.engine import Deliver, Meter
from n2m_core.streaming.jobs import BlockResult, BlockWork, Job

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 3
"""A block that failed is tried so often again."""
AHEAD = 2
"""Blocks given out for each worker; one is worked on and one waits."""
CONNECT_S = 30
_opened: dict[Job, BlockWork] = {}


def compute_block(job: Job, number: int) -> BlockResult:
    """Work on a block in a worker, which keeps the job open for the next one."""
    work = _opened.get(job)
    if work is None:
        work = job.open()
        _opened.clear()
        _opened[job] = work
    return work.compute(number, work.read(number), None)


def run_on_cluster(
    job: Job, todo: Sequence[int], deliver: Deliver, meter: Meter, scheduler: str | None
) -> None:
    """Work through blocks, in whatever order they are done.

    Args:
        job: what is done.
        todo: numbers of the blocks that are not done.
        deliver: called here, one result after the other.
        meter: told of every block.
        scheduler: address of a running scheduler; None for workers of this machine, one process
            of one thread for each core.

    Raises:
        ParameterError: no scheduler answers there.
    """
    with _client(scheduler) as client:
        from distributed import as_completed

        workers = _workers(client)
        waiting = iter(todo)

        def given(number: int) -> Any:  # noqa: ANN401 - distributed's futures carry no types
            """Give out a block."""
            return client.submit(compute_block, job, number, pure=False, retries=RETRIES)

        running = as_completed([given(number) for number in islice(waiting, AHEAD * workers)])
        for future in running:
            result = _result(future)
            future.release()
            deliver(result)
            meter.finished(result.number)
            for number in islice(waiting, 1):
                running.add(given(number))


def _workers(client: Client) -> int:
    """Wait for a worker, and count them.

    Raises:
        ParameterError: the scheduler has none.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        raise ParameterError(
            "The dask scheduler has no workers; start some with `dask worker ADDRESS`."
        ) from error
    return len(dict(client.scheduler_info(n_workers=-1)["workers"]))


def _result(future: Any) -> BlockResult:  # noqa: ANN401 - distributed's futures carry no types
    """Take what came of a block.

    Raises:
        ParameterError: every worker that was given it died.
        N2MError: whatever the block met.
    """
    from distributed import KilledWorker

    try:
        found: BlockResult = future.result()
    except KilledWorker as error:
        raise ParameterError(
            "Worker after worker died over one block, likely for want of memory. Give them more, "
            "or smaller blocks by --block, and go on with --resume."
        ) from error
    return found


@contextmanager
def _client(scheduler: str | None) -> Iterator[Client]:
    """Connect to a scheduler, or start workers here."""
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise ParameterError(
                f"No dask scheduler answers at {scheduler}; start one with `dask scheduler`, or "
                "leave --scheduler out for workers of this machine."
            ) from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=40,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
