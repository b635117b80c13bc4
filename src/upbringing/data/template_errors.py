"""What a chat template raises, as an error that names the chat and the roles it was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from upbringing.base.errors import DataError


@contextmanager
def errors_of(where: str) -> Iterator[None]:
    """Say of every ``DataError`` that is raised inside where it was: rows of a file are found again by it."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


@contextmanager
def named_errors(messages: list[dict[str, str]]) -> Iterator[None]:
    """Turn what a template raises into a ``DataError`` that names the roles it was given.

    transformers itself refuses what stands before the first turn, which is nothing, where that turn is the assistant's.
    """
    import jinja2

    try:
        yield
    except (jinja2.TemplateError, ValueError) as error:
        if not messages:
            raise DataError(
                "it begins with an assistant turn, and with this chat template what the assistant says is only found "
                "behind another turn: begin with a user's, or use a template with {% generation %} markers"
            ) from None
        roles = ", ".join(message["role"] for message in messages)
        raise DataError(
            f"the chat template does not render messages of the roles {roles}: {type(error).__name__}: {error}. "
            "Use data of other roles, or a checkpoint with another template"
        ) from None
