"""Why a prompt is not asked, whatever the chat template of a checkpoint thinks of its turns."""

from __future__ import annotations

from upbringing.models.asking import Model, Prompt

REFUSED = "refused-by-chat-template"


def why_unasked(model: Model, prompt: Prompt) -> str | None:
    """Return why ``prompt`` cannot be asked of ``model``, ``None`` if it can.

    Many published templates raise on a system turn, or on turns that do not alternate: that is a fact about the item
    and this checkpoint, as a too long prompt is, and must not end the battery for all others.
    """
    from jinja2 import TemplateError  # only the networks of this machine render templates

    try:
        return model.unanswerable(prompt)
    except TemplateError:
        return REFUSED
