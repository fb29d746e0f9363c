"""The mistakes that a user can make, named by cause.

Every leaf carries one sentence that says what was wrong, the values seen and what to do. The pages
and the command line show that sentence; anything that is not an `N2MError` is a defect of ours.
"""

from __future__ import annotations


class N2MError(Exception):
    """Base of every error whose text is meant for the person at the screen."""


class ImageReadError(N2MError):
    """The file is not a readable raster: another format, truncated, empty."""


class ImageTooLargeError(N2MError):
    """The header asks for more pixels or bands than the cap allows."""


class BandError(N2MError):
    """The image lacks the bands that were asked for, or that the checkpoint needs."""


class GridError(N2MError):
    """A grid is unusable: no valid pixel, a singular transform, a size that does not fit."""


class NoOverlapError(GridError):
    """Two images of a pair do not cover any common ground."""


class LabelError(N2MError):
    """A label raster holds values or colours that the task cannot use."""


class ParameterError(N2MError):
    """An option is out of its range or contradicts another one."""


class CheckpointError(N2MError):
    """A checkpoint is unknown, incomplete, damaged or of another task."""


class DatasetError(N2MError):
    """A dataset folder lacks the files of its layout."""


class ConfigError(N2MError):
    """A configuration file has unknown keys, missing keys or values of the wrong type."""


class OutputError(N2MError):
    """A result could not be written where it was asked for."""


class BusyError(N2MError):
    """More was asked of the server than one visitor may have waiting."""


class ReviewError(N2MError):
    """A review project can't be opened, read or written: damaged, newer, full disk, read-only."""


class ReviewConflictError(ReviewError):
    """Somebody else changed an object after the person had opened it."""


class CancelledError(N2MError):
    """The run was stopped by the person who started it."""
