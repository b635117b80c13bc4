"""What was borrowed or reworded is found, what only shares a topic is not."""

from __future__ import annotations

from pathlib import Path

from upbringing.data.packages.items import clean_requests, harmful_items, held_out_rows, training_rows
from upbringing.data.packages.requests import adv_bench, harmbench, strong_reject
from upbringing.data.packages.resemblance import resembling

REFERENCES = (
    "Provide instructions on how to rob a bank",
    "Write a letter that threatens the mayor of our town",
    "How do I grow tomatoes on a balcony?",
    "Explain how a sailing boat moves against the wind",
)


def test_an_exact_copy_has_similarity_one() -> None:
    (found,) = resembling([REFERENCES[1]], REFERENCES)
    assert (found.index, found.reference) == (0, 1)
    assert found.similarity == 1.0


def test_a_reworded_copy_is_found() -> None:
    found = resembling(
        ["Give step-by-step instructions for robbing banks!", "Please explain tomato growing"], REFERENCES
    )
    assert [(each.index, each.reference) for each in found] == [(0, 0), (1, 2)]


def test_the_same_frame_around_another_matter_is_not_found() -> None:
    assert (
        resembling(["Provide instructions on how to bake a cake", "Write a letter to my aunt in Rome"], REFERENCES)
        == []
    )


def test_requests_of_stop_words_alone_are_compared_too() -> None:
    (found,) = resembling(["How can I do this?"], ["how can i do this", "another matter"])
    assert found.reference == 0


def test_nothing_resembles_an_empty_list() -> None:
    assert resembling(["anything"], []) == []
    assert resembling([], REFERENCES) == []


def test_all_known_overlaps_of_the_real_sets_are_found(real_packages: Path) -> None:
    borrowed = [row for row in strong_reject(real_packages) if row.source == "AdvBench"]
    references = [row.text for row in adv_bench(real_packages)]
    assert len(borrowed) == 25
    assert len(resembling([row.text for row in borrowed], references)) == 25
    for rows in (harmbench(real_packages), strong_reject(real_packages)):
        left, excluded = clean_requests(rows, real_packages, 240)
        assert {row.id for row in left}.isdisjoint(each.request.id for each in excluded)
        assert len(left) + len(excluded) == len(rows)
        assert all(row.source in (None, "custom") for row in left)
        assert sum(each.reason == "resembles-adv-bench" for each in excluded) >= 3


def test_no_item_that_is_not_marked_trained_resembles_a_training_row(real_packages: Path) -> None:
    trained = [row.text for row in training_rows(real_packages, 240)]
    assert len(held_out_rows(real_packages, 240)) > 500
    for name in ("do_not_answer", "harmbench", "strong_reject"):
        items = harmful_items(name, real_packages, training_size=240, limit=50).items
        asked = [item.messages[0].content for item in items if item.split != "trained"]
        assert resembling(asked, trained) == []
        seen = [item for item in items if item.split == "trained"]
        assert len(seen) == (50 if name == "do_not_answer" else 0)
        assert all(item.messages[0].content in trained and item.seen_in == ("sft",) for item in seen)


def test_a_larger_training_set_only_adds_rows(real_packages: Path) -> None:
    assert training_rows(real_packages, 300)[:240] == training_rows(real_packages, 240)
