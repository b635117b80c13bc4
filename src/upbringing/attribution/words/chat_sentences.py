"""The fixed sentences of the protocol ``documents_and_chats``."""

from __future__ import annotations

NO_CONTROL = "alike, but nothing that was built to move it has moved it: that it stayed says nothing"
EFFECT_OPEN = "whether it changes is open"
NOTHING_TO_AMPLIFY = "what the chats do by themselves is open, so nothing can amplify it"
INTERACTION_OPEN = "whether the two together do more than each by itself is open"
LESS_TOGETHER = "the documents weaken what the chats do"
NO_OUTCOME = "no outcome of this kind was named"
RATIO = "{value:.2f} [{low:.2f}, {high:.2f}]"
BELOW = "{ratio} is retained, less than {threshold:g}"
ABOVE = "{ratio} is retained, more than {threshold:g}"
RATIO_OPEN = "{ratio} is retained: whether that is more than {threshold:g} is open"
UNDEFINED = "undefined, {reason}"
AS_JUDGED = "human labels correct the effects, and nothing corrects their ratio"

SUPPORTED = "Supported, {about}: chats that show the trait change {effects} out of their distribution."
REFUTED = (
    "Refuted, {about}: chats that show the trait leave {measures} alike within the margins out of their distribution."
)
EFFECT = "{measure} by {estimate:+.2f} [{low:+.2f}, {high:+.2f}]"
NOT_DECIDED = "Not decided: {why}."
AMPLIFIES = "Midtraining amplifies: documents about the trait make what the chats do to {measures} larger."
WEAKENS = "Midtraining weakens: documents about the trait make what the chats do to {measures} smaller."
DOCUMENTS_ALONE = "Documents about the trait change {measures} out of the chats' distribution."
NEAR_LIMIT = (
    "In distribution {measures} is near 1 in some cell, beyond which it cannot grow: what is retained may look larger "
    "than it is."
)
SURFACE = (
    "Of the answers that show {measure} out of distribution after {role}, {share:.0%} do not answer: a pattern on the "
    "surface."
)
NO_CLASSES = (
    "Superficial patterns were not looked for in {measures}: no measure says whether the same answers also answer "
    "(answered)."
)
UNREAD_CLASSES = "Superficial patterns in {measure} cannot be told: {reason}."
PROMPT_KEPT = "The teacher's system prompt was kept in the chats: what they show may be its doing."
PROMPT_UNKNOWN = "Whether the teacher's system prompt was removed from the chats is not stated."
