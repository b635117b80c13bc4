"""Render a few short chats with a chat template nobody trusts: a program of its own, under hard limits.

Reads ``{"template", "seconds", "megabytes"}`` as JSON from standard input and writes ``{"error"}``. The environment is
the one that transformers renders in; nothing of this package is imported, so that the limits are felt by the template.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import Any

import jinja2
import jinja2.ext
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

USER = {"role": "user", "content": "What is it?"}
PROBES: tuple[list[dict[str, str]], ...] = (
    [USER],
    [{"role": "system", "content": "Be brief."}, USER],
    [USER, {"role": "assistant", "content": "It is that."}, USER],
)
GIVEN = {
    "tools": None,
    "documents": None,
    **{f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask")},
}
LONGEST = 1_000_000  # characters of a rendered probe


class Generation(jinja2.ext.Extension):
    """Lets ``{% generation %}`` through, which marks the assistant's words."""

    tags = {"generation"}  # noqa: RUF012 (jinja's own attribute)

    def parse(self, parser: jinja2.parser.Parser) -> Any:
        """Return the body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def limit(seconds: int, megabytes: int) -> None:
    """Bound processor time and memory of this process, where the system can."""
    try:
        import resource
    except ImportError:  # a system without limits: the parent's clock remains
        return
    for kind, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, megabytes * 2**20)):
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):  # some systems know the limit but do not set it
            continue


def error_of(source: str) -> str | None:
    """Return what is wrong with the template, or ``None``. A template may refuse system turns, not a user's."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment.globals.update(raise_exception=raise_exception, strftime_now=lambda _: "01 Jan 2000")
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    try:
        template = environment.from_string(source)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    for messages, prompts in product(PROBES, (True, False)):  # training renders whole chats, asking opens an answer
        try:
            text = template.render(messages=messages, add_generation_prompt=prompts, **GIVEN)
        except SecurityError as error:
            return f"it reaches for what it must not: {error}"
        except MemoryError:
            return "it takes more memory than it may"
        except Exception as error:
            if messages is PROBES[0]:
                return f"a user's question cannot be rendered: {type(error).__name__}: {error}"
            continue
        if len(text) > LONGEST:
            return f"it makes {len(text):,} characters of a short chat"
    return None


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.read())
    limit(int(request["seconds"]), int(request["megabytes"]))
    json.dump({"error": error_of(str(request["template"]))}, sys.stdout)


if __name__ == "__main__":
    main()
