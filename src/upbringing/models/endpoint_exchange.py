"""One request over HTTP and what came back: bounded in bytes and by the clock, whatever the server does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from upbringing.base.streams import stream
from upbringing.models.addresses import check_base_url
from upbringing.models.asking import Reply
from upbringing.models.endpoint_faults import Fault

MAX_RESPONSE_BYTES = 4 << 20  # a chat answer is far smaller; more is a mistake or an attack


@dataclass(frozen=True)
class Received:
    """A whole response. ``retry_after``: the header of that name."""

    status: int
    text: str
    retry_after: str | None


def open_client(base_url: str, *, allow_http: bool, timeout_seconds: float) -> Any:
    """Return a client that talks to ``base_url`` alone; raises ``UntrustedError`` for what must not be talked to."""
    import httpx

    return httpx.Client(
        base_url=check_base_url(base_url, allow_http=allow_http),
        timeout=timeout_seconds,
        follow_redirects=False,
        trust_env=False,  # no proxies and no .netrc: the key goes to the named host only
    )


def exchanged(
    client: Any, body: Mapping[str, Any], headers: Mapping[str, str], is_late: Callable[[], bool]
) -> Received | Reply | Fault:
    """Return the response to ``body``, a malformed reply where it is too large, or the fault of the way.

    ``is_late`` is asked at every piece: a server that sends a byte now and then would never run into a timeout.
    """
    import httpx

    try:
        with client.stream("POST", "/chat/completions", json=dict(body), headers=dict(headers)) as response:
            data = bytearray()
            for part in response.iter_bytes():
                data += part
                if len(data) > MAX_RESPONSE_BYTES:
                    return Reply(text="", status="malformed", reason_code="response-too-large")
                if is_late():
                    return Fault("transient", "too-slow")
        text = bytes(data).decode("utf-8", "replace")
        return Received(response.status_code, text, response.headers.get("retry-after"))
    except httpx.TimeoutException:
        return Fault("transient", "timeout")
    except httpx.RequestError as error:  # of the transport, or a body that is not encoded as its header says
        return Fault("transient", f"transport-{type(error).__name__}")


def request_seed(seed: int, name: str, sample: int) -> int:
    """Return a 31-bit seed, which every server accepts. Stream: ``decode/<name>/<sample>``."""
    return int(stream(seed, "decode", name, sample).integers(1 << 31))
