"""Every error this project raises on purpose: what was asked, what was found, what to do.

Each class is also the standard error it resembles, so that code which knows nothing of this
project can catch it, and each carries the exit code of the command line.
"""

from __future__ import annotations

Keys = tuple[str | int, ...]
"""The keys and places in lists that lead to something in a study file."""


class UpbringingError(Exception):
    """Base of all errors raised on purpose. Message: what was asked, what was found, what to do."""

    exit_code = 1


class StudyError(UpbringingError, ValueError):
    """A study file, a Python study or a command-line request contradicts itself or the format.

    ``places``: what of the study file it is about, the likeliest first; whoever knows the file says where that stands
    (``base.places``).
    """

    exit_code = 2

    def __init__(self, message: str, *places: Keys) -> None:
        super().__init__(message)
        self.places = places


class DataError(UpbringingError, ValueError):
    """A data set, prompt set or chat template is not what was declared."""

    exit_code = 3


class IntegrityError(UpbringingError, RuntimeError):
    """Bytes on disk are not the bytes that were published (torn, flipped, swapped, missing)."""

    exit_code = 4


class TrainingError(UpbringingError, RuntimeError):
    """A stage could not train, or trained nothing."""

    exit_code = 5


class MeasurementError(UpbringingError, RuntimeError):
    """A battery could not be run."""

    exit_code = 6


class EndpointError(MeasurementError):
    """A model endpoint answered in a way that stops the run (quota, authorisation, wrong request).

    What was answered before is kept: once the cause is removed, the same command goes on.
    """

    exit_code = 10


class FormatError(UpbringingError, ValueError):
    """A rows, tree, findings or record file does not follow its published format."""

    exit_code = 7


class UntrustedError(UpbringingError, PermissionError):
    """A model folder, archive or template asks for something untrusted input may not have."""

    exit_code = 8


class MissingExtraError(UpbringingError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    exit_code = 9


class HeldError(UpbringingError, RuntimeError):
    """Another process holds what was asked for; the same command works once that one is done."""

    exit_code = 75


class InterruptedRunError(UpbringingError):
    """The run was stopped politely and can be resumed by the same command."""

    exit_code = 75


class UpbringingWarning(UserWarning):
    """Something is correct but probably not what was meant."""
