"""Models over HTTP, against a real server that answers 429 and 500, hangs, truncates, lies and redirects."""

from __future__ import annotations

import base64
import json
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from upbringing.base.errors import EndpointError, StudyError, UntrustedError
from upbringing.formats.items import Message
from upbringing.models.addresses import check_base_url
from upbringing.models.asking import Prompt
from upbringing.models.budget import Budget, Cap, CapReachedError, Price
from upbringing.models.decoding import Greedy
from upbringing.models.endpoint import Clock, Endpoint, EndpointModel
from upbringing.models.endpoint_faults import SHOWN_CHARACTERS, classify_status, parse_retry_after, read_reply

KEY = "sk-test-0123456789-secret"


class FakeClock:
    """Time that passes only while sleeping."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, sleep=self.sleep)


def model(server: Any, clock: FakeClock | None = None, **options: Any) -> EndpointModel:
    endpoint = Endpoint(base_url=server.base_url, model="m", **options)
    return EndpointModel(endpoint, clock=(clock or FakeClock()).clock)


def ask(asked: EndpointModel, text: str = "hello") -> Any:
    prompt = Prompt(name=text, messages=(Message(role="user", content=text),))
    return asked.answer([prompt], Greedy(), 0)[0][0]


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        *((status, "", "transient") for status in (408, 409, 429, 500, 502, 503, 529)),
        (429, '{"error": {"code": "insufficient_quota"}}', "fatal"),
        *((status, "", "fatal") for status in (401, 402, 403)),
        *((status, "", "config") for status in (400, 404, 422, 301, 302, 307)),
    ],
)
def test_every_status_has_its_class(status: int, body: str, fault: str) -> None:
    found = classify_status(status, body, None)
    assert found is not None
    assert found.fault == fault


@pytest.mark.parametrize("status", [429, 500, 503, 529, 408, 409])
def test_transient_faults_are_tried_again_and_are_never_an_outcome(faulty: ModuleType, status: int) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        return faulty.Response(status, "busy") if count < 2 else faulty.completion("hi")

    with faulty.FaultyServer(script) as server:
        clock = FakeClock()
        reply = ask(model(server, clock))
        assert (reply.text, reply.status, reply.attempts) == ("hi", "ok", 3)
        assert len(server.requests) == 3
    assert len(clock.pauses) == 2
    assert 0 <= clock.pauses[0] <= 0.5
    assert 0 <= clock.pauses[1] <= 1.0


def test_a_server_that_never_recovers_gives_failed_and_no_number(faulty: ModuleType) -> None:
    with faulty.FaultyServer(lambda body, count: faulty.Response(500, "no")) as server:
        reply = ask(model(server, max_attempts=3))
        assert (reply.status, reply.reason_code, reply.attempts, reply.text) == ("failed", "endpoint-http-500", 3, "")
        assert len(server.requests) == 3


def test_retry_after_is_honoured_and_the_wall_clock_is_a_cap(faulty: ModuleType) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        return faulty.Response(429, "", {"Retry-After": "7"}) if count == 0 else faulty.completion("hi")

    with faulty.FaultyServer(script) as server:
        clock = FakeClock()
        assert ask(model(server, clock)).status == "ok"
        assert clock.pauses == [7.0]
    with faulty.FaultyServer(lambda body, count: faulty.Response(429, "", {"Retry-After": "500"})) as server:
        clock = FakeClock()
        reply = ask(model(server, clock, max_seconds=600.0, max_attempts=50))
        assert reply.status == "failed"
        assert clock.time <= 600.0
        assert len(server.requests) == 2
    assert parse_retry_after("soon") is None
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(401, "bad key", "refuses this account"), (429, "quota", "refuses"), (404, "no model", "cannot serve")],
)
def test_fatal_and_configuration_faults_stop_after_one_request(
    faulty: ModuleType, status: int, body: str, message: str
) -> None:
    with faulty.FaultyServer(lambda request, count: faulty.Response(status, body)) as server:
        with pytest.raises(EndpointError, match=message):
            ask(model(server))
        assert len(server.requests) == 1


def test_a_hanging_a_cut_and_a_reset_connection_are_transient(faulty: ModuleType) -> None:
    for bad in (
        faulty.Response(hang=1.0),
        faulty.Response(body='{"choices"', cut=True),
        faulty.Response(reset=True),
    ):
        with faulty.FaultyServer(lambda body, count, bad=bad: bad if count == 0 else faulty.completion("hi")) as server:
            assert ask(model(server, timeout_seconds=0.3)).status == "ok"
            assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", "{}", '{"choices": []}', '{"choices": [{}]}', '{"choices": [{"message": {"content": 7}}]}',
     '{"choices": [{"message": {"content": "hi"', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_completion_is_malformed_and_asked_again_with_the_same_prompt(faulty: ModuleType, body: str) -> None:
    with faulty.FaultyServer(lambda request, count: faulty.Response(body=body)) as server:
        reply = ask(model(server, malformed_attempts=2))
        assert (reply.status, reply.text, reply.attempts) == ("malformed", "", 3)
        assert server.requests[0] == server.requests[1] == server.requests[2]


def test_outcomes_are_kept_and_never_rolled_again(faulty: ModuleType) -> None:
    answers = {
        "refuses": (faulty.completion(None, refusal="I can't help."), "refused", "provider-refusal"),
        "filtered": (faulty.completion("", "content_filter"), "refused", "content-filter"),
        "empty": (faulty.completion("  "), "refused", "empty"),
        "long": (faulty.completion("half an ans", "length"), "truncated", "length"),
        "thinks": (faulty.completion("", "length", reasoning_content="hm"), "truncated", "thought-only"),
        "says": (faulty.completion("I can't help with that."), "ok", None),
    }
    with faulty.FaultyServer(lambda body, count: answers[body["messages"][0]["content"]][0]) as server:
        asked = model(server)
        for text, (_, status, reason) in answers.items():
            reply = ask(asked, text)
            assert (reply.status, reply.reason_code, reply.attempts) == (status, reason, 1)
        assert len(server.requests) == len(answers)


def test_redirects_never_carry_the_key_anywhere(faulty: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    with faulty.FaultyServer(lambda body, count: faulty.completion("hi")) as thief:
        moved = faulty.Response(307, "", {"Location": f"{thief.base_url}/chat/completions"})
        with faulty.FaultyServer(lambda body, count: moved) as server:
            with pytest.raises(EndpointError, match="http-307"):
                ask(model(server, key_variable="TEST_KEY"))
            assert server.authorizations == [f"Bearer {KEY}"]
        assert thief.requests == []


def test_the_key_stands_in_no_error_and_no_representation(faulty: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    coded = base64.b64encode(KEY.encode()).decode()
    with faulty.FaultyServer(lambda body, count: faulty.Response(401, f"bad key {KEY} or {coded}")) as server:
        asked = model(server, key_variable="TEST_KEY")
        with pytest.raises(EndpointError) as caught:
            ask(asked)
    shown = "".join(traceback.format_exception(caught.value)) + repr(asked) + str(dict(asked.identity))
    assert KEY not in shown
    assert coded not in shown
    with pytest.raises(ValueError, match="key_variable"):
        Endpoint(base_url="https://example.org", model="m", key_variable=KEY)
    with pytest.raises(StudyError, match="NO_SUCH_KEY"):
        model(server, key_variable="NO_SUCH_KEY")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/v1",
        "http://[fd00:ec2::254]/v1",
        "https://100.100.100.200/v1",
        "https://169.254.1.1/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "http://0.0.0.0:8000/v1",
        "http://192.0.2.7/v1",
        "ftp://127.0.0.1/v1",
        "https://user:password@127.0.0.1/v1",
        "https://127.0.0.1/v1?key=1",
        "file:///etc/passwd",
        "127.0.0.1:8000",
    ],
)
def test_addresses_that_must_not_be_talked_to_are_refused(url: str) -> None:
    with pytest.raises(UntrustedError):
        check_base_url(url)


def test_http_goes_to_this_machine_or_where_the_network_is_trusted() -> None:
    assert check_base_url("http://127.0.0.1:8000/v1/") == "http://127.0.0.1:8000/v1"
    assert check_base_url("http://[::1]:8000/v1") == "http://[::1]:8000/v1"
    assert check_base_url("http://192.0.2.7/v1", allow_http=True) == "http://192.0.2.7/v1"


def test_200_random_workloads_never_spend_more_than_the_cap() -> None:
    random = np.random.default_rng(11)
    for _ in range(200):
        price = Price(input_usd=float(random.uniform(0, 20)), output_usd=float(random.uniform(0, 60)))
        budget = Budget(Cap(usd=float(random.uniform(0, 0.05))), price)
        flying: list[tuple[float, int, int]] = []
        for _ in range(60):
            bound_in, bound_out = (int(each) for each in random.integers(1, 900, 2))
            try:
                reserved = budget.reserve(bound_in, bound_out)
            except CapReachedError:
                break
            used = (int(random.integers(0, bound_in + 1)), int(random.integers(0, bound_out + 1)))
            flying.append((reserved, *used))
            if random.random() < 0.6:
                budget.settle(*flying.pop(int(random.integers(len(flying)))))
        for each in flying:
            budget.settle(*each)
        assert budget.cap.usd is not None
        assert budget.spent_usd <= budget.cap.usd + 1e-12


def test_a_cap_in_dollars_without_a_price_is_refused() -> None:
    with pytest.raises(StudyError, match="price"):
        Budget(Cap(usd=1.0))


def test_the_cap_is_checked_before_the_call(faulty: ModuleType) -> None:
    with faulty.FaultyServer(lambda body, count: faulty.completion("hi")) as server:
        price = Price(input_usd=1.0, output_usd=1.0)
        asked = model(server, price=price, cap=Cap(usd=0.000_2))  # one call may cost up to 81 tokens, and costs 15
        for number in range(8):
            assert ask(asked, str(number)).status == "ok"
            assert asked.budget.spent_usd == pytest.approx(15e-6 * (number + 1))
        with pytest.raises(CapReachedError, match="raise the cap"):
            ask(asked, "8")
        assert len(server.requests) == 8


def test_random_bytes_are_never_a_good_answer() -> None:
    random = np.random.default_rng(3)
    good = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    for _ in range(500):
        place = int(random.integers(len(good)))
        body = good[:place] + chr(int(random.integers(1, 0x2FF))) + good[place + int(random.integers(1, 6)) :]
        reply, _ = read_reply(body)
        assert reply.status in ("ok", "malformed", "refused", "truncated")
        if reply.status == "ok":
            assert json.loads(body)["choices"][0]["message"]["content"] == reply.text


def test_a_book_carries_the_cap_over_runs_and_counts_calls_that_were_cut_off(tmp_path: Path) -> None:
    price, cap, path = Price(input_usd=1.0, output_usd=1.0), Cap(usd=10.0, calls=5), tmp_path / "book.jsonl"
    first = Budget(cap, price, book=path)
    first.settle(first.reserve(3_000_000, 0), 1_000_000, 0)
    first.reserve(4_000_000, 0)  # the run is killed before this call is settled
    again = Budget(cap, price, book=path)
    assert (again.spent_usd, again.num_calls) == (5.0, 2)
    with pytest.raises(CapReachedError):
        again.reserve(5_000_001, 0)
    with path.open("ab") as handle:
        handle.write(b'{"usd": 99')  # a reservation that was not whole: its call was never made
    assert Budget(cap, price, book=path).spent_usd == 5.0
    after = Budget(cap, price, book=path)
    after.reserve(1, 0)
    assert Budget(cap, price, book=path).num_calls == 3


def test_the_error_that_stopped_the_run_is_the_one_that_is_raised(faulty: ModuleType) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        text = body["messages"][0]["content"]
        return faulty.Response(401, "no") if text == "3" else faulty.Response(500, "busy", hang=0.2)

    with faulty.FaultyServer(script) as server:
        asked = model(server, workers=4)
        bodies = [(str(n), asked.payload((Message(role="user", content=str(n)),), Greedy(), 0)) for n in range(8)]
        with pytest.raises(EndpointError, match="refuses this account"):
            asked.ask(bodies)


def test_a_server_that_sends_the_key_back_does_not_get_it_written_down(
    faulty: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPBRINGING_TEST_KEY", KEY)
    echo = faulty.completion(f"your key is {KEY}", reasoning_content=f"hm, {base64.b64encode(KEY.encode()).decode()}")
    with faulty.FaultyServer(lambda body, count: echo) as server:
        reply = ask(model(server, key_variable="UPBRINGING_TEST_KEY"))
    assert (reply.text, reply.thought) == ("your key is [key]", "hm, [key]")


def test_a_body_that_is_not_encoded_as_it_says_is_transient(faulty: ModuleType) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        lie = faulty.Response(body="no gzip at all", headers={"Content-Encoding": "gzip"})
        return lie if count == 0 else faulty.completion("hi")

    with faulty.FaultyServer(script) as server:
        reply = ask(model(server))
        assert (reply.text, reply.attempts) == ("hi", 2)


def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(faulty: ModuleType) -> None:
    slow = faulty.completion("a long answer, letter by letter")
    slow.drip = 0.05  # seconds, below the timeout; the body takes some ten
    with faulty.FaultyServer(lambda body, count: slow) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", max_seconds=0.5, timeout_seconds=0.4)
        began = time.monotonic()
        reply = ask(EndpointModel(endpoint))
        assert time.monotonic() - began < 4.0
    assert (reply.status, reply.reason_code, reply.text) == ("failed", "endpoint-too-slow", "")


@pytest.mark.parametrize("before", range(SHOWN_CHARACTERS - len(KEY) - 2, SHOWN_CHARACTERS + 1, 5))
def test_no_part_of_the_key_is_shown_where_an_error_is_cut_off(
    faulty: ModuleType, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    said = faulty.Response(401, f"{'x' * before}{KEY} is no key of ours")
    with faulty.FaultyServer(lambda body, count: said) as server, pytest.raises(EndpointError) as caught:
        ask(model(server, key_variable="TEST_KEY"))
    assert KEY[:4] not in str(caught.value)


def test_half_a_character_is_no_text_and_never_an_answer(faulty: ModuleType) -> None:
    for fields in (
        {"text": "\ud800"},
        {"text": "yes", "reasoning_content": "\udfff"},
        {"text": None, "refusal": "\ud800"},
    ):
        with faulty.FaultyServer(lambda body, count, fields=fields: faulty.completion(**fields)) as server:
            reply = ask(model(server, malformed_attempts=1))
        assert (reply.status, reply.reason_code, reply.text, reply.thought) == ("malformed", "not-text", "", None)
    assert ask_text("\U0001f600") == "\U0001f600"  # a whole pair is one character


def ask_text(text: str) -> str:
    found, _ = read_reply(json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}))
    return found.text


def test_a_retry_after_beyond_all_calendars_says_nothing() -> None:
    assert parse_retry_after("Mon, 01 Jan 2000 00:00:00 +9999999999999999") is None
    assert parse_retry_after("nan") == 0.0
