"""No claim blesses or refutes what is no instance of it: every claim meets every kind
of wrong input.

``LEGAL`` lists what looks wrong and is an instance all the same, each with the reason;
an entry that is not needed fails too.
"""

import pytest
from wrong_inputs import KINDS

from implicit_bias.theorems.claim import registry

EVERY_DATA = "the lemma is about any samples with any labels"
EVERY_LABEL = "each sample enters as y_i x_i, so one class is as good as two"
EVERY_N = "a bound on norms or on single samples, which one sample can break too"
EVERY_NET = (
    "the statement is for every W, and a step or a gradient at this one can break it"
)
EVERY_STEP = "each step is judged by itself, and one is enough"
EVERY_LOSS = "Lyu and Li's theorem, and F-3.4, have both losses"
START_ONLY = "the start alone is judged, whatever the data, the labels and the slopes"
CONDITION = "a condition that a network meets or not; it presupposes nothing"
FROM_ANYWHERE = (
    "flow from every start, and from zero all neurons move as soon as samples pull"
)
OTHERS = (
    "equal networks can break nothing, but those that an adversary finds beside "
    "them can"
)
SPAN_ONLY = (
    "what is added lies in the span of the samples whatever the labels and slopes"
)
UP_TO_NOW = "a bound for every t, and t = 1 can break it"
OWN_RHO = (
    "both signs of neurons have coefficients on each sample, one class or one "
    "sample alike"
)

LEGAL = {
    "one class": {
        EVERY_LABEL: "F-3.1 F-3.3 F-3.4 F-D.1 F-D.2 F-E.4 F-E.5 F-E.6 F-E.7 F-E.8 "
        "F-E.10 F-E.11.b F-E.11.c F-E.12 "
        "F-E.13 F-E.14 F-4.2.3 S-4",
        EVERY_DATA: "F-E.2 F-E.3",
        START_ONLY: "F-E.1 F-E.11.a K-A.1 K-A.2",
        SPAN_ONLY: "K-5.1 K-5.2",
        OWN_RHO: "K-5.4 K-5.5 K-5.6 K-5.7 K-5.8 K-B.3 K-B.4 K-4.1.c",
    },
    "one sample": {
        EVERY_N: "F-3.1 F-3.4 F-D.2 F-E.6 F-E.7 F-E.11.b F-E.11.c F-E.13 F-E.14 "
        "F-4.2.3 S-4",
        EVERY_DATA: "F-E.2 F-E.3",
        START_ONLY: "F-E.1 F-E.11.a K-A.1 K-A.2",
        SPAN_ONLY: "K-5.2",
        OWN_RHO: "K-5.4 K-5.5 K-5.6 K-5.7 K-B.3 K-B.4 K-4.1.c S-8",
    },
    "zero row": {START_ONLY: "F-E.1 K-A.1", EVERY_DATA: "F-E.2 F-E.3"},
    "opposite twins": {
        START_ONLY: "F-E.1 F-E.11.a K-A.1 K-A.2",
        EVERY_DATA: "F-E.2 F-E.3",
        CONDITION: "F-E.5 F-E.6",
    },
    "zero network": {
        EVERY_NET: "F-D.2 F-E.7 F-E.8 F-E.10 F-E.11.b F-E.14 K-5.2",
        CONDITION: "F-E.5 F-E.6",
        OTHERS: "F-E.2 F-E.3",
        FROM_ANYWHERE: "F-3.1 F-3.4 F-3.5",
    },
    "other activation": {
        "ReLU is homogeneous too, and Lyu and Li's theorem has it": "F-3.1",
        START_ONLY: "F-E.1 K-A.1 K-A.2",
        CONDITION: "F-E.5",
        SPAN_ONLY: "K-5.1 K-5.2",
    },
    "untrained": {
        EVERY_NET: "F-D.2 F-E.7 F-E.14",
        CONDITION: "F-E.5 F-E.6",
        OTHERS: "F-E.2 F-E.3",
        "any Gaussian start will do": "K-A.2",
        "any network refutes the printed statement that meets its hypotheses": "S-10",
    },
    "exponential loss": {EVERY_LOSS: "F-3.1 F-3.4"},
    "one step": {
        EVERY_STEP: "F-E.8 F-E.10 F-E.11.b K-5.2",
        UP_TO_NOW: "F-E.4 F-E.12 F-E.13 F-4.2.3",
    },
}
REASONS = {
    (id, kind): why
    for kind, table in LEGAL.items()
    for why, ids in table.items()
    for id in ids.split()
}
NAMES = {"run", "flow", "data", "data.n", "net", "initial", "other", "gamma", "c", "m"}


def outcome(id, arguments):
    """The verdict, or ``"refused"`` where an error names the argument."""
    try:
        return registry[id].check(*arguments).verdict
    except (ValueError, TypeError) as error:
        assert str(error).split(":")[0] in NAMES, error
        return "refused"


@pytest.mark.parametrize("id", registry)
def test_no_wrong_input_is_blessed_or_refuted(id):
    decided = {}
    for kind, make in KINDS.items():
        arguments = make(id)
        if arguments is not None:
            verdict = outcome(id, arguments)
            if verdict in ("holds", "fails"):
                decided[kind] = verdict
    assert set(decided) == {kind for name, kind in REASONS if name == id}, decided
    # Only a condition can be refuted by what was made here.
    refuted = {kind for kind, verdict in decided.items() if verdict == "fails"}
    assert all(REASONS[id, kind] == CONDITION for kind in refuted), refuted


def test_the_legal_ones_are_claims_and_kinds():
    assert all(id in registry and kind in KINDS for id, kind in REASONS)
