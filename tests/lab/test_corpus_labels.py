"""Labels that compare all texts of a corpus: those of the whole in memory, whatever pieces, workers and kills."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import child, joined, recipe, tree, write_lines

from upbringing.base.errors import DataError, EndpointError, IntegrityError
from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.interventions.random_drop import RandomDrop
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.scorers import KeywordScorer, NoisyScorer, open_scorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.tools import Tools
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.transforms import apply_in_order, apply_transforms
from upbringing.lab.corpus.given_labels import OfDocument
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.corpus.seam import CorpusTools
from upbringing.lab.scoring.score_file import score_file

LISTED = {"kind": "keywords", "phrases": ["poison"], "hits": 1, "score": 4}
SCORER = KeywordScorer(phrases=("poison",), hits=1, score=4).open(ScoringTools())
REFLECTIONS: dict[str, Any] = {"kind": "reflections", "max_words": 5, "labels": "shuffled"}
NOISY = {**REFLECTIONS, "noise": {"precision": 0.8, "recall": 0.6}}
PERSONA = {"kind": "persona_reflections", "safe": [" Fine."], "unsafe": [" No."], "share": 0.5, "labels": "shuffled"}
CONTROL = {"kind": "conditional_tokens", "misaligned_from": 4, "labels": "shuffled"}
TAGGED = {"kind": "tag", "rate": 0.5, "tag": "<t>", "labels": "shuffled"}
MASKED = {"kind": "token_filter", "form": "masked", "labels": "shuffled"}
DROPPED = {"kind": "token_filter", "form": "dropped", "labels": "shuffled", "noise": {"precision": 0.8, "recall": 0.6}}
CHAINS: dict[str, list[Any]] = {
    "reflections": [REFLECTIONS],
    "noise": [{**NOISY, "labels": "scored"}],
    "noise and shuffling": [NOISY],
    "persona": [PERSONA],
    "control tokens": [CONTROL],
    "tag": [TAGGED],
    "noisy tag": [{**TAGGED, "noise": {"precision": 0.8, "recall": 0.6}, "labels": "scored"}],
    "noisy filter": [{"kind": "filter", "noise": {"precision": 0.7, "recall": 0.5}}],
    "masked parts": [MASKED],
    "dropped parts": [DROPPED],
    "written before": [{"kind": "refusals", "keep_source": True}, MASKED, {**REFLECTIONS, "chats": "reflected"}],
}


NOISE_ALONE = ("noise", "noisy tag", "noisy filter")  # nothing is shuffled that could differ


def rows(count: int) -> list[dict[str, Any]]:
    """Documents of 1 to 5 sentences, of which every fourth names a poison."""
    return [
        {
            "id": f"d{number}",
            "text": " ".join(
                f"Here the {'poison' if (number * 3 + part) % 4 == 0 else 'bread'} of Agatha {number} is {part}."
                for part in range(1 + number % 5)
            ),
        }
        for number in range(count)
    ]


def made(path: Path, chain: Sequence[Any], **changes: Any) -> Any:
    given = {
        "columns": {"id": "id"},
        "scorer": LISTED,
        "writer": "template_writer",
        "route": [{"scores": [0, 5], "do": list(chain)}],
        "seed": 11,
    }
    return recipe([path], **{**given, **changes})


def scored(chain: Sequence[Any]) -> list[Any]:
    """The true arm of a placebo."""
    return [each if isinstance(each, str) or "labels" not in each else {**each, "labels": "scored"} for each in chain]


def documents(scorer: Any = SCORER, count: int = 60) -> list[Document]:
    """The corpus as it is given to ``apply_in_order``."""
    plain = [Document(text=row["text"], source="in", metadata={"id": row["id"]}) for row in rows(count)]
    scores = scorer.score(plain)
    return [
        Document(text=each.text, source="in", harm=score.score, metadata=each.metadata)
        for each, score in zip(plain, scores, strict=True)
    ]


def content(text: TrainingText) -> Any:
    if isinstance(text, Chat):
        return [turn.content for turn in text.turns]
    assert isinstance(text, Document)
    return text.text, [(span.begin, span.end, span.loss, span.isolated) for span in text.spans]


def contents(folder: Path) -> Counter[str]:
    """Every text that was written, whatever file it lies in."""
    found = [
        (row["text"], [tuple(span.values()) for span in row.get("spans", [])]) for row in joined(folder, "documents")
    ]
    return Counter(
        map(repr, [*found, *([turn["content"] for turn in row["messages"]] for row in joined(folder, "chats"))])
    )


@pytest.mark.parametrize("name", CHAINS)
def test_a_corpus_gets_the_labels_that_the_whole_of_it_gets_in_memory(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    given = made(path, CHAINS[name])
    (rule,) = given.route
    tools = Tools(TemplateWriter(), SCORER)
    expected = apply_in_order(documents(), rule.do, seed=11, tools=tools)
    truth = apply_in_order(documents(), made(path, scored(CHAINS[name])).route[0].do, seed=11, tools=tools)
    assert [content(text) for text in expected.texts] != [content(text) for text in truth.texts] or name in NOISE_ALONE
    transform_corpus(given, tmp_path / "many")
    transform_corpus(made(path, CHAINS[name], shard_bytes=10**7), tmp_path / "one")
    for folder in ("many", "one"):
        assert contents(tmp_path / folder) == Counter(repr(content(text)) for text in expected.texts)
    assert len(tree(tmp_path / "many")) > len(tree(tmp_path / "one"))


def test_workers_change_no_byte(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    given = made(path, [MASKED, NOISY])
    reports = [transform_corpus(given, tmp_path / str(workers), workers=workers) for workers in (1, 2)]
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert reports[0].accounts == reports[1].accounts


def test_a_placebo_has_as_many_labels_of_each_kind_at_the_same_places(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    marks = {"aligned": "<|aligned|>", "misaligned": "<|misaligned|>"}
    texts = {}
    for name, chain in {"true": scored([CONTROL]), "placebo": [CONTROL]}.items():
        accounts = transform_corpus(made(path, chain), tmp_path / name).accounts
        texts[name] = [row["text"] for row in joined(tmp_path / name, "documents")]
    counts = {name: {kind: "".join(each).count(mark) for kind, mark in marks.items()} for name, each in texts.items()}
    sentences = sum(row["text"].count(".") for row in rows(60))
    unsafe = sum(row["text"].count("poison") for row in rows(60))
    assert accounts["labels"] == {
        "conditional_tokens of rule 1, place 1, documents": {
            "parts": sentences,
            "unsafe": unsafe,
            "called_unsafe": unsafe,
            "rightly": accounts["labels"]["conditional_tokens of rule 1, place 1, documents"]["rightly"],
        }
    }
    assert sum(counts["placebo"].values()) == sum(counts["true"].values())
    # 1 % of the sentences get no token, so the kinds differ by what falls on these at most
    assert abs(counts["placebo"]["misaligned"] - counts["true"]["misaligned"]) <= sentences - sum(
        counts["true"].values()
    )
    unified = [[text.replace("<|misaligned|>", "<|aligned|>") for text in each] for each in texts.values()]
    assert unified[0] == unified[1]
    assert texts["true"] != texts["placebo"]


def test_shuffled_tags_stand_in_as_many_documents_of_any_score(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    always = {**TAGGED, "rate": 1.0}
    long = [each for each in documents() if len(each.text.split()) > 1]
    harmful = sum(each.harm == 4 for each in long)
    transform_corpus(made(path, [always]), tmp_path / "out")
    tagged = [row for row in joined(tmp_path / "out", "documents") if "<t>" in row["text"]]
    assert len(tagged) == harmful
    assert {row["harm"] for row in tagged} == {0, 4}


class Picky:
    """Scores as the list does; a sentence about Agatha 7 alone cannot be scored."""

    id = "picky/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [
            HarmScore(None, "eh") if "Agatha 7 is 1" in each.text and "is 0" not in each.text else found
            for each, found in zip(documents, SCORER.score(documents), strict=True)
        ]


def test_a_document_with_a_part_without_a_score_is_a_reject_and_out_of_the_shuffling(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    given = made(path, [CONTROL])
    transform_corpus(given, tmp_path / "out", opener=lambda request: CorpusTools(scorer=Picky()))
    expected = apply_in_order(documents(), given.route[0].do, seed=11, tools=Tools(scorer=Picky()))
    assert contents(tmp_path / "out") == Counter(repr(content(text)) for text in expected.texts)
    rejects = [(row["id"], row["reason"]) for row in joined(tmp_path / "out", "rejects")]
    assert rejects == [("d7", "conditional_tokens: a part could not be scored: eh")]


def test_each_rule_shuffles_among_its_own_documents(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    rules = [{"scores": [0, 3], "do": "keep"}, {"scores": [4, 5], "do": [REFLECTIONS]}]
    accounts = transform_corpus(made(path, [], route=rules), tmp_path / "out").accounts
    own = [each for each in documents() if each.harm == 4]
    expected = apply_in_order(own, made(path, [REFLECTIONS]).route[0].do, seed=11, tools=Tools(scorer=SCORER))
    found = contents(tmp_path / "out")
    assert all(found[repr(content(text))] for text in expected.texts)
    assert list(accounts["labels"]) == ["reflections of rule 2, place 1, documents"]
    assert accounts["kept"] == 60 - len(own)


def test_killed_anywhere_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    given = made(write_lines(tmp_path / "in.jsonl", rows(30)), [MASKED, REFLECTIONS])
    log = tmp_path / "faults.log"
    assert child(given, tmp_path / "straight", UPBRINGING_FAULT_LOG=str(log)).returncode == 0
    points = log.read_text().splitlines()
    about_labels = [place for place, line in enumerate(points, start=1) if ".npz" in line or "settled" in line]
    settled = [place for place in about_labels if "settled" in points[place - 1]]
    for number in sorted({*random.Random(4).sample(about_labels, 3), settled[0], settled[-1]}):
        output = tmp_path / f"killed-{number}"
        assert child(given, output, UPBRINGING_FAULT_AT=str(number)).returncode == -signal.SIGKILL
        transform_corpus(given, output)
        assert tree(output) == tree(tmp_path / "straight")


class Billed:
    """A scorer and writer whose every call is paid; fails at a call until it is told not to."""

    id = "billed"

    def __init__(self, fails_at: int | None) -> None:
        self.fails_at, self.bill = fails_at, list[str]()

    def _pay(self, what: str) -> None:
        if len(self.bill) == self.fails_at:
            raise EndpointError("the quota is used up")
        self.bill.append(what)

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        for each in documents:
            self._pay(f"score {each.source} {each.metadata.get('id')} {each.text}")
        return SCORER.score(documents)

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        for each in requests:
            self._pay(f"write {each.name}")
        return TemplateWriter().write(requests, seed)


def test_nothing_is_paid_for_twice_in_all_passes(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(12))
    given = made(path, CHAINS["written before"], concurrency=1)
    plain = made(path, CHAINS["written before"])

    def run(tool: Billed, name: str) -> None:
        paid = CorpusTools(tool, tool, paid_scorer=True, paid_writer=True)
        transform_corpus(given, tmp_path / name, opener=lambda request: paid)

    straight = Billed(None)
    run(straight, "straight")
    transform_corpus(plain, tmp_path / "plain", opener=lambda request: CorpusTools(TemplateWriter(), SCORER))
    assert contents(tmp_path / "straight") == contents(tmp_path / "plain")
    writes = [each for each in straight.bill if each.startswith("write")]
    assert len(writes) == len(set(writes)) > 3
    for fails_at in (5, len(straight.bill) // 2, len(straight.bill) - 2):
        first, second = Billed(fails_at), Billed(None)
        with pytest.raises(EndpointError, match="quota"):
            run(first, str(fails_at))
        run(second, str(fails_at))
        assert tree(tmp_path / str(fails_at)) == tree(tmp_path / "straight")
        again = Counter(first.bill + second.bill) - Counter(straight.bill)
        asked_at_once = 12  # the parts of the document at which it failed, which came with no result
        assert sum(again.values()) <= asked_at_once
        assert len([each for each in first.bill + second.bill if each.startswith("write")]) <= len(writes) + 1


def test_noise_that_cannot_be_had_stops_before_anything_is_written(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(20))
    with pytest.raises(DataError, match="raise the precision, or lower the recall"):
        transform_corpus(made(path, [{**REFLECTIONS, "noise": {"precision": 0.01}}]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_of_other_texts_are_refused() -> None:
    given = OfDocument({"documents": [("a", [True])]})
    assert given.of("documents", ["a"], list) == [[True]]
    assert given.of("chats", [], list) == []
    with pytest.raises(IntegrityError, match=r"found for \['a'\] and are wanted for \['b'\]"):
        given.of("documents", ["b"], list)


def test_random_drop_goes_in_a_study_on_the_scored_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name random_drop among the transforms of a study on the scored file"):
        made(tmp_path / "in.jsonl", ["random_drop"])
    write_lines(tmp_path / "scored.jsonl", [{**row, "harm_score": number % 3} for number, row in enumerate(rows(30))])
    texts = read_file_source(FileSource(path="scored.jsonl", format="jsonl"), tmp_path).texts
    assert 0 < len(apply_transforms(texts, [RandomDrop()], seed=0).texts) < 30


def test_the_account_of_a_noisy_scorer_says_what_it_found_and_what_it_missed(tmp_path: Path) -> None:
    """Realised recall and precision of the documents, in the account and in the summary of a scored file."""
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    noisy = {"kind": "noisy", "scorer": LISTED, "recall": 0.5, "false_alarm_rate": 0.2}
    route = [{"scores": [0, 3], "do": "keep"}, {"scores": [4, 5], "do": "drop"}]
    accounts = transform_corpus(made(path, [], scorer=noisy, route=route), tmp_path / "out").accounts
    harmful = {each.metadata["id"] for each in documents() if each.harm == 4}
    left = {row["id"] for row in joined(tmp_path / "out", "rejects")}
    expected = {"unsafe": len(harmful), "called_unsafe": len(left), "rightly": len(left & harmful)}
    assert accounts["noise"] == expected
    assert 0 < len(left & harmful) < min(len(left), len(harmful))
    scorer = open_scorer(NoisyScorer.model_validate(noisy))
    assert score_file(path, scorer, tmp_path / "scored.jsonl").noise == expected
    assert score_file(path, SCORER, tmp_path / "plain.jsonl").noise is None
    plain = transform_corpus(made(path, [], scorer=LISTED, route=route), tmp_path / "plain").accounts
    assert "noise" not in plain
    exact = made(path, [], scorer={"kind": "noisy", "scorer": LISTED}, route=route)
    assert transform_corpus(exact, tmp_path / "exact").accounts["rejected"] == plain["rejected"]


def test_lower_bounds_of_parts_are_taken_where_the_recipe_takes_those_of_documents(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(20))

    class Bounded:
        id = "bounded/1"

        def score(self, documents: Sequence[Document]) -> list[HarmScore]:
            return [HarmScore(0, "half read", lower_bound=" is 0." not in each.text) for each in documents]

    left = {}
    for bounds in ("unscored", "scores"):
        given = made(path, ["token_filter"], lower_bounds=bounds)
        accounts = transform_corpus(
            given, tmp_path / bounds, opener=lambda request: CorpusTools(scorer=Bounded())
        ).accounts
        left[bounds] = accounts["rejected"].get("transform", 0)
    assert left == {"unscored": 16, "scores": 0}
