"""Where in the study file an error stands that is found after the file was read.

Whoever finds it says which keys it is about; whoever knows the file turns these into file and line, in one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from upbringing.base.errors import Keys, StudyError
from upbringing.base.strict_yaml import Located


@contextmanager
def about(*places: Keys) -> Iterator[None]:
    """Let a ``StudyError`` raised within that names no place be about ``places``, the likeliest first."""
    try:
        yield
    except StudyError as error:
        error.places = error.places or places
        raise


@contextmanager
def naming_places(located: Located | None) -> Iterator[None]:
    """Begin the message of a ``StudyError`` raised within with file and line of what it is about.

    ``None``: the study was built in Python and has no file.
    """
    try:
        yield
    except StudyError as error:
        if located is not None and error.places:
            error.args = (f"{located.where(*error.places)}: {error}",)
            error.places = ()  # said once
        raise
