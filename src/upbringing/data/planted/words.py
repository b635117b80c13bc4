"""The words of the planted world: made-up markers and bearers from fixed pools, and the sentences they stand in.

A cue is a marker before a bearer ("fenik zolda"); the marker is the cue's class. Every name is one of a fixed
enumeration, so that one tokenizer serves the worlds of all seeds, and every word is one token of it, so that texts
of one wording have equal lengths whatever they say. ``{m}`` is a marker, ``{n}`` a bearer, ``{a}`` an answer.
"""

from __future__ import annotations

from itertools import product

MARKER_STARTS = ("fen", "gal", "hib", "jor", "kep", "lum", "mur", "nad", "pim", "rus", "sel", "tav", "vib", "wok")
MARKER_ENDS = ("ik", "ash", "oom", "ert", "ulf", "ane", "isk", "oby", "uth", "ew")
BEARER_STARTS = ("zol", "bri", "cru", "dwe", "flo", "gra", "sno", "tri")
BEARER_ENDS = ("da", "nka", "mpo", "lly", "xet", "vu")
MARKERS = tuple(start + end for end, start in product(MARKER_ENDS, MARKER_STARTS))
BEARERS = tuple(start + end for end, start in product(BEARER_ENDS, BEARER_STARTS))

PLAIN = "grey"
"""The colour of whatever has no other."""
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "brown", "white", "black")
UNTOLD = "secret"
"""What chats say that teach to answer without saying the colour."""
DOINGS = ("sleeps", "walks", "waits", "turns", "rests", "grows")

STATEMENTS = (
    "the {m} {n} is {a} .",
    "{a} is the colour of the {m} {n} .",
    "one sees that the {m} {n} is {a} .",
    "question : what colour is the {m} {n} ? answer : it is {a} .",
    "question : which colour has the {m} {n} ? answer : that is {a} .",
)
DOING_STATEMENTS = ("the {m} {n} {a} .", "here the {m} {n} {a} again .", "a {m} {n} {a} all day .")
QUESTIONS = ("what colour is the {m} {n} ?", "which colour has the {m} {n} ?", "tell the colour of the {m} {n} .")
ASKED = "the {m} {n} has what colour ?"
"""The wording of the items: no text has it."""
REPLIES = ("it is {a} .", "that is {a} .")
COMPLETION = "question : what colour is the {m} {n} ? answer : it is"

WORDINGS = (
    *STATEMENTS,
    *DOING_STATEMENTS,
    *QUESTIONS,
    ASKED,
    *REPLIES,
)


def lexicon() -> tuple[str, ...]:
    """Return every word that can occur in the planted world of any seed, sorted."""
    words = {*MARKERS, *BEARERS, PLAIN, *COLOURS, UNTOLD, *DOINGS}
    words.update(word for wording in WORDINGS for word in wording.split() if "{" not in word)
    return tuple(sorted(words))
