"""The claims on coefficients, balance and leaky ReLU, on what is no instance of them,
and on runs too short to tell.
"""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from changed import first
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import limits
from implicit_bias.theorems.claim import registry
from implicit_bias.theorems.here import s02_loss_constant, s03_rank_gap
from implicit_bias.theorems.kou2023 import (
    b03_growth,
    balances,
    lemma_5_6,
    lemma_5_7,
    long_runs,
    sample_clocks,
    starts,
    theorem_4_1,
)
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.kou2023.long_runs import long_run
from implicit_bias.theorems.setting import active_shares, rms_scale

STATIC = ["K-A.1", "K-A.2", "K-H.3", "K-H.4", "K-5.1", "K-5.3"]
OF_K_LEAKY = [
    "K-5.4",
    "K-5.6",
    "K-5.7",
    "K-B.3",
    "K-B.4",
    "K-4.1.a",
    "K-4.1.b",
    "K-4.1.c",
    "K-4.1.d",
]
FOUND = ["S-2", "S-3", "S-6", "S-8"]
RUNS = ["K-5.2", "K-5.5", *OF_K_LEAKY, *FOUND]
LEAKY = ib.leaky_relu(0.5)
RELU = ib.relu()
SMOOTH = ib.smoothed_leaky_relu(0.5)
f64 = torch.float64


@cache
def basis():
    return ib.data.orthogonal(4, d=6)


@cache
def usual(activation, m, loss="logistic"):
    """The same run for many checks, which look at it once."""
    return trained(activation=activation, m=m, loss=loss)


@cache
def doubled(rows, activation):
    x = basis().x.clone()
    x[0] = 0 if rows == "zero" else x[1]  # labels 1, 1
    return trained(ib.Dataset(x, basis().y), activation, m=40)


@cache
def parts(activation):
    one = (torch.ones(4), -torch.ones(4))
    sets = [*(ib.Dataset(basis().x, y) for y in one), ib.Dataset(basis().x[:1], [1.0])]
    return [trained(part, activation, m=30) for part in sets]


@cache
def outputs():
    net = ib.TwoLayer.init(basis(), 4, 4, LEAKY, 1e-3, output="1/m")
    nets = [
        ib.TwoLayer(net.weights, a, LEAKY)
        for a in (1.01 * net.a, net.a.abs(), -net.a.abs())
    ]
    return [ib.gradient_descent(net, basis(), 1.0, 2000) for net in nets]


@cache
def from_zero(activation):
    net = usual(activation, 40).initial
    silent = ib.TwoLayer(torch.zeros_like(net.weights), net.a, net.activation)
    return ib.gradient_descent(silent, basis(), 1.0, 2000)


def trained(
    data=None,
    activation=LEAKY,
    m=4,
    scale=1e-3,
    steps=3000,
    step_size=1.0,
    loss="logistic",
    seed=1,
):
    data = basis() if data is None else data
    net = ib.TwoLayer.init(data, m, m, activation, scale, output="1/m", seed=seed)
    return ib.gradient_descent(
        net, data, step_size, steps, loss, record=ib.dynamics.log_spaced(steps, 40)
    )


def verdict_of(id, *arguments):
    """The verdict, or ``"refused"`` where an error names the run, the data or another
    argument.
    """
    try:
        return ib.claims[id].check(*arguments).verdict
    except (ValueError, TypeError) as error:
        assert str(error).split(":")[0].split(",")[0] in (
            "run",
            "data",
            "flow",
            "net",
            "initial",
        ), error
        return "refused"


# -- controls --------


@pytest.mark.parametrize("id", [*STATIC, *RUNS])
def test_negative_controls_break_one_hypothesis_and_the_conclusion(id):
    verdict = registry[id].negative()
    assert len([h.name for h in verdict.hypotheses if not bool(h.holds.all())]) == 1, (
        verdict
    )
    assert (verdict.verdict, verdict.conclusion) == ("vacuous", "fails")


@pytest.mark.parametrize("id", [*STATIC, *RUNS])
def test_positive_controls_hold(id):
    assert registry[id].positive().verdict == "holds"


@pytest.mark.parametrize("id", [*OF_K_LEAKY, "K-5.5", "S-2", "S-3", "S-8"])
def test_positive_controls_lean(id):
    data = registry[id].instance()[0].data
    assert float(data.p) > 0.008 * float(data.R_min) ** 2 and float(data.R) > 1.05


# -- runs too short --------


@pytest.mark.parametrize(
    "n, m, gamma, scale, step_size, seed",
    [(4, 4, 0.5, 1e-3, 0.5, 1), (4, 1, 0.5, 1e-3, 0.5, 2), (6, 3, 0.1, 1e-2, 2.0, 3)],
)
def test_no_short_run_refutes_a_true_statement(n, m, gamma, scale, step_size, seed):
    data = ib.data.orthogonal(n)
    net = ib.TwoLayer.init(
        data, m, m, ib.leaky_relu(gamma), scale, output="1/m", seed=seed
    )
    for steps in (1, 2, 5, 20, 60, 200, 1000):
        run = ib.gradient_descent(net, data, step_size, steps)
        for id in RUNS:
            assert verdict_of(id, run) != "fails", (id, steps)


def test_the_long_run_of_the_same_net_is_open_or_true():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 1e-3, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 0.5, 20_000)
    states = {id: ib.claims[id].check(run).verdict for id in RUNS}
    assert {id for id, v in states.items() if v == "vacuous"} == {"K-5.5"}
    assert {id for id, v in states.items() if v == "undecided"} == {
        "K-4.1.a",
        "S-2",
        "S-3",
    }


@pytest.mark.parametrize("id", RUNS)
@pytest.mark.parametrize("count", [1, 2])
def test_two_records_decide_nothing_but_a_step(id, count):
    run = first(registry[id].instance()[0], count)
    wanted = "holds" if (id, count) == ("K-5.2", 2) else None
    found_ = verdict_of(id, run)
    assert found_ == wanted if wanted else found_ in ("undecided", "vacuous", "refused")


# -- runs outside the hypotheses --------


@pytest.mark.parametrize("id", RUNS)
def test_exponential_loss_is_not_theirs(id):
    run = (
        usual(RELU, 40, "exponential")
        if id == "K-5.5"
        else usual(LEAKY, 4, "exponential")
    )
    verdict = ib.claims[id].check(run)
    assert verdict.verdict == "vacuous"
    assert "loss" in [h.name for h in verdict.hypotheses if not bool(h.holds.all())]


@pytest.mark.parametrize("id", [*OF_K_LEAKY, "S-2", "S-3", "S-6"])
def test_relu_is_not_for_leaky_claims(id):
    assert verdict_of(id, usual(RELU, 4)) == "vacuous"


@pytest.mark.parametrize("id", RUNS)
def test_smooth_networks_are_not_theirs(id):
    assert verdict_of(id, usual(SMOOTH, 4)) == "vacuous"


@pytest.mark.parametrize("id", RUNS)
def test_other_rules_are_refused(id):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 1e-3, output="1/m")
    assert verdict_of(id, ib.sgd(net, data, 1.0, 30, 1, record=range(31))) == "refused"


@pytest.mark.parametrize("id", ["K-5.5", *OF_K_LEAKY])
def test_a_zero_start_is_no_random_start(id):
    verdict = ib.claims[id].check(from_zero(RELU if id == "K-5.5" else LEAKY))
    assert verdict.verdict == "vacuous" and "start" in verdict.why


@pytest.mark.parametrize("id", ["K-5.2", *OF_K_LEAKY, "S-8"])
def test_second_layers_of_other_sizes_and_one_sign_are_not_theirs(id):
    assert [verdict_of(id, run) for run in outputs()] == ["vacuous"] * 3


@pytest.mark.parametrize("rows", ["zero", "twins"])
@pytest.mark.parametrize("id", RUNS)
def test_zero_and_double_samples(id, rows):
    run = doubled(rows, RELU if id == "K-5.5" else LEAKY)
    # Twins of one class fit S-2 and S-3, which ask for nothing else.
    fine = ("undecided",) if rows == "twins" and id in ("S-2", "S-3") else ()
    assert verdict_of(id, run) in ("vacuous", "refused", *fine)


@pytest.mark.parametrize("id", RUNS)
def test_one_class_and_one_sample_are_never_refuted(id):
    for run in parts(RELU if id == "K-5.5" else LEAKY):
        verdict = ib.claims[id].check(run)
        assert verdict.verdict != "fails"
        if id == "S-6":
            assert verdict.verdict == "vacuous"
    if id == "K-4.1.d":
        assert "one margin" in verdict.why and verdict.verdict == "vacuous"


def test_one_neuron_of_a_sign_has_rank_one_whatever_happens():
    run = trained(m=1)
    assert ib.claims["K-4.1.b"].check(run).verdict == "vacuous"
    verdict = ib.claims["S-3"].check(run)
    assert verdict.verdict == "vacuous" and "spread" in verdict.why
    line = ib.Dataset(torch.tensor([[2.0]]), [1])
    assert "one column" in ib.claims["K-4.1.b"].check(trained(line)).why
    assert "spread" in ib.claims["S-3"].check(trained(m=2)).why
    assert "spread" not in ib.claims["S-3"].check(trained(m=3)).why


def test_margins_that_are_not_positive_at_the_end_leave_the_limits_open():
    run = trained(steps=1)
    assert bool((run.margins[0] <= 0).any())
    wrong = ib.gradient_descent(run.initial, run.data, 1e-9, 3000)
    assert bool((wrong.margins[-1] <= 0).any())
    assert [ib.claims[id].check(wrong).conclusion for id in ("K-4.1.d", "S-6")] == [
        "undecided"
    ] * 2


# -- the conditions of K --------


@pytest.mark.parametrize("relu", [False, True])
def test_conditions_follow_the_run(relu):
    data = ib.data.correlated(4, p=0.02, norms=[1, 1, 1, 2])
    run = trained(
        data, ib.relu() if relu else LEAKY, m=6, scale=0.02, step_size=0.7, steps=10
    )
    parts = kou_setting.conditions_of_K(run, C=3.0, delta=0.2, relu=relu)
    assert [h.name for h in parts[:4]] == [
        "activation",
        "second layer",
        "loss",
        "start",
    ]
    size = float(run.initial.weights.square().mean().sqrt())
    form = ib.hypotheses.H_K4_3 if relu else ib.hypotheses.H_K4_1
    gamma = () if relu else (0.5,)
    wanted = form(data, *gamma, 6, 0.7, size, 3.0, 0.2)
    assert float(parts[4].slack) == pytest.approx(float(wanted.slack))
    for mine, theirs in zip(parts[4].parts, wanted.parts):
        assert float(mine.slack) == pytest.approx(float(theirs.slack))
    flow = ib.gradient_flow(run.initial, data, 1.0)
    assert float(kou_setting.conditions_of_K(flow, relu=relu)[4].parts[0].slack) > 1e200


def test_a_told_scale_must_be_that_of_the_start(rejects):
    run = trained(scale=1e-3)
    size = float(rms_scale(run.initial, run.data))
    room = 10 / math.sqrt(2 * 8 * 6)
    for factor in (1 / (1 + 0.99 * room), 1 / (1 - 0.9)):
        kou_setting.conditions_of_K(run, factor * size)
    with rejects("scale", "root mean square"):
        kou_setting.conditions_of_K(run, size / (1 + 1.01 * room))
    for wrong in (0.0, -1.0, math.nan):
        with rejects("scale"):
            ib.claims["K-5.6"].check(run, scale=wrong)


@pytest.mark.parametrize(
    "gamma, leaky, relu, either",
    [(0.0, False, True, True), (0.5, True, False, True), (1.0, True, False, True)],
)
def test_setting_knows_the_two_activations(gamma, leaky, relu, either):
    net = trained(
        activation=ib.leaky_relu(gamma) if gamma else ib.relu(), steps=1
    ).initial
    for kind, wanted in ((False, leaky), (True, relu), (None, either)):
        assert (
            bool(kou_setting.setting_of_K(net, ib.losses.LOGISTIC, relu=kind)[0].holds)
            is wanted
        )


def test_joining_refuses_other_data_losses_and_networks(rejects):
    run = trained(steps=50)
    for change, word in (
        ({"data": ib.Dataset(run.data.x, -run.data.y)}, "data"),
        ({"data": ib.Dataset(2 * run.data.x, run.data.y)}, "data"),
        ({"loss": "exponential"}, "loss"),
    ):
        given = {"data": run.data, "loss": "logistic", **change}
        with rejects("flow", word):
            long_run(
                run, ib.gradient_flow(run.final, given["data"], 3.0, given["loss"])
            )
    for net in (
        replace(run.final, activation=ib.leaky_relu(0.6)),
        replace(run.final, a=2 * run.final.a),
    ):
        with rejects("flow", "network"):
            long_run(run, ib.gradient_flow(net, run.data, 3.0))
    near = run.final.scaled(1 + 1e-7)
    with rejects("flow", "another start"):
        long_run(run, ib.gradient_flow(near, run.data, 3.0))
    with rejects("flow", "gradient_flow after"):
        long_run(
            ib.gradient_flow(run.initial, run.data, 3.0),
            ib.gradient_flow(run.final, run.data, 3.0),
        )


# -- K-5.6: named times --------


@given(
    seed=st.integers(0, 10**6),
    gamma=st.floats(0.1, 1),
    part=st.floats(0.05, 1),
    h=st.floats(0.01, 1),
    size=st.floats(0, 1),
)
def test_leaning_bound_holds_wherever_s8_speaks(seed, gamma, part, h, size):
    norms = [1.0, 1.2, 1.5, 1.1]
    signs = ("random", "oppose", "agree")[seed % 3]
    free = ib.data.correlated(4, p=0.0, norms=norms)
    net = start = ib.TwoLayer.init(
        free, 3, 3, ib.leaky_relu(gamma), 0.3 * gamma * size + 1e-6, "1/m", seed=seed
    )
    step = h * 4 * 3 / 2.25
    D = float(sample_clocks.leaky_clocks(net, free, torch.tensor(h, dtype=f64)).D)
    data = ib.data.correlated(
        4, p=part * gamma / (2 * 3 * D) / 1.5, norms=norms, signs=signs, seed=seed
    )
    net = ib.TwoLayer(start.weights, start.a, start.activation)
    ours = sample_clocks.leaky_clocks(net, data, torch.tensor(h, dtype=f64))
    bound = float(lemma_5_6.leaning_bound(net, data, step))
    if (
        not all(bool(hypothesis.holds) for hypothesis in ours.hypotheses)
        or bound > 3000
    ):
        return
    assert (
        float(lemma_5_6.freezing_step(net, data, step, math.ceil(bound) + 200)) <= bound
    )


def test_leaning_bound_by_hand():
    data = ib.data.correlated(3, p=0.02, norms=[1, 1, 2])
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.4), 0.1, "1/m", seed=3)
    beta = max(abs(float(w @ x)) for w in net.weights for x in data.x)
    gains = [0.6 * size / (3 * 2) for size in (1, 1, 4)]
    E = 2 * beta / 0.4 + 0.6 * max(gains)
    D = max(3, 4 * math.exp(2 * E))
    delta = min(2 * 0.02 * D, 0.2)
    k = 1 + 0.16 + 2 * delta
    late = max(
        2 * math.exp(E) / (k * h) * (math.exp(k * beta / (0.4 - delta)) - 1)
        for h in gains
    )
    assert float(lemma_5_6.leaning_bound(net, data, 0.6)) == pytest.approx(1 + late)


def test_time_is_that_of_the_p_zero_theorem_where_p_is_zero():
    run = trained(ib.data.orthogonal(4, norms=[1, 1, 2, 2]), scale=0.1, step_size=0.3)
    bound = float(lemma_5_6.freezing_bound(run.initial, run.data, 0.3))
    unit = float(lemma_5_6.step_unit(run.data, run.initial, 0.3))
    assert ib.claims["K-5.6"].check(run).constants["C"] == pytest.approx(bound / unit)
    flow = ib.gradient_flow(run.initial, run.data, 5.0)
    # A flow is descent with tiny steps, and its time has η for its unit.
    tiny = float(lemma_5_6.freezing_bound(run.initial, run.data, 1e-6)) * 1e-6
    wanted = tiny / float(lemma_5_6.step_unit(run.data, run.initial, 1.0))
    assert ib.claims["K-5.6"].check(flow).constants["C"] == pytest.approx(
        wanted, rel=1e-4
    )
    lean = trained(ib.data.correlated(4, p=0.01), scale=0.02, step_size=0.3)
    bound = float(lemma_5_6.leaning_bound(lean.initial, lean.data, 0.3)) / float(
        lemma_5_6.step_unit(lean.data, lean.initial, 0.3)
    )
    assert ib.claims["K-5.6"].check(lean).constants["C"] == pytest.approx(bound)


def test_no_time_is_proved_past_s8():
    data = ib.data.correlated(4, p=0.06, norms=[1, 1, 1, 1])
    run = trained(data, ib.leaky_relu(0.8), scale=0.05)
    verdict = ib.claims["K-5.6"].check(run)
    assert (
        verdict.verdict == "undecided"
        and "lean" not in verdict.why
        and "No constant is proved" in verdict.why
    )
    assert ib.claims["K-5.6"].check(run, None, 50.0).verdict == "holds"


def test_a_run_that_ends_before_t_is_open_even_in_order():
    run = trained(scale=1e-3, steps=3000)
    late = 1.01 * 3000 / float(lemma_5_6.step_unit(run.data, run.initial, 1.0))
    assert ib.claims["K-5.6"].check(run, None, late).conclusion == "undecided"
    assert ib.claims["K-5.6"].check(run, None, late / 1.02).verdict == "holds"
    for wrong in (0.0, -1.0, math.inf, "a"):
        with pytest.raises(ValueError, match="constant"):
            ib.claims["K-5.6"].check(run, None, wrong)


def test_freezing_bound_of_starts_on_the_kink():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer(torch.zeros(4, 3), [0.5, 0.5, -0.5, -0.5], LEAKY)
    assert (
        float(lemma_5_6.freezing_bound(net, data, 0.1))
        == 1
        == float(lemma_5_6.freezing_step(net, data, 0.1, 20))
    )
    huge = ib.TwoLayer(torch.tensor([[2e3, -1.0], [-2e3, -1.0]]), [1.0, -1.0], LEAKY)
    assert math.isfinite(
        float(lemma_5_6.freezing_bound(huge, ib.data.orthogonal(2), 1.0))
    )
    void = ib.Dataset(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), [1, -1])
    assert math.isinf(float(lemma_5_6.freezing_bound(huge, void, 1.0)))


def test_order_and_kinks_are_those_of_each_sample():
    run = trained(ib.data.orthogonal(4, norms=[1, 1, 1, 1e-8]), steps=300)
    assert ib.claims["K-5.6"].check(run, None, 1e-3).conclusion != "undecided"
    assert not bool(
        long_runs.right(run.final, run.data)[:, 3].all()
    )  # too short to have moved
    ahead = ib.TwoLayer(
        torch.sign(run.initial.a)[:, None] * (run.data.y[:, None] * run.data.x).sum(0),
        run.initial.a,
        LEAKY,
    )
    assert bool(long_runs.ordered(ahead, run.data))


# -- limits --------


@pytest.mark.parametrize(
    "last, count, short",
    [(6.94, 5, False), (6.92, 5, True), (9.0, 2, True), (9.0, 3, False)],
)
def test_a_decade_of_log_t(last, count, short):
    clock = torch.linspace(0.2, 1, count, dtype=f64) * last
    assert bool(limits.decade_short(clock)) is short
    assert limits.decade_short(torch.zeros(0))


@pytest.mark.parametrize("share, left", [(0.19, False), (0.21, True)])
def test_the_start_is_weighed_against_what_was_added(share, left):
    run = trained(steps=5)
    joined = long_run(run)
    added = joined.nets.weights[-1] - run.initial.weights
    size = share * float(added.norm()) / float(run.initial.weights.norm())
    weights = run.initial.weights * size
    moved = replace(joined, initial=ib.TwoLayer(weights, run.initial.a, LEAKY))
    moved = replace(moved, nets=replace(joined.nets, weights=(weights + added)[None]))
    assert bool(starts.start_shows(moved)) is left


def test_power_of_the_loss_is_a_slope_over_the_last_decade():
    run = long_run(trained(steps=2000))
    clock = run.log_step
    bent = torch.where(clock < math.log(200), -3 * clock, -0.7 * clock)
    alone, last = theorem_4_1._power_of_loss(replace(run, log_loss=bent), True)
    assert alone == pytest.approx(0.7) and last == pytest.approx(math.log(2000))
    longer, _ = theorem_4_1._power_of_loss(replace(run, log_loss=bent), False)
    late = clock >= last / 10
    slope = torch.linalg.lstsq(
        torch.stack([clock[late], torch.ones(int(late.sum()))], -1), bent[late][:, None]
    ).solution
    assert longer == pytest.approx(-float(slope[0]))
    assert math.isnan(
        theorem_4_1._power_of_loss(long_run(first(trained(), 2)), True)[0]
    )


def test_paper_exponent_at_its_edges():
    run = long_run(trained(ib.data.correlated(4, p=0.05)))
    assert theorem_4_1.paper_exponent(run, 5.0) == pytest.approx((1 - 4.0) / (1 + 4.0))
    verdict = ib.claims["K-4.1.c"].check(
        trained(ib.data.correlated(4, p=0.01)), constant=7.0
    )
    assert verdict.verdict == "vacuous" and "s ≥ 1" in verdict.why
    with pytest.raises(ValueError, match="^constant: "):
        ib.claims["K-4.1.c"].check(trained(), constant=-1.0)


@pytest.mark.parametrize("steps, short", [(99, True), (101, False)])
def test_a_power_is_read_from_a_hundred_steps_on(steps, short):
    verdict = ib.claims["K-4.1.c"].check(trained(steps=steps, step_size=4.0))
    assert ("too short" in verdict.why) is short


def test_increments_below_rounding_are_left_out():
    run = trained(ib.data.orthogonal(4), step_size=4000.0, steps=60)
    joined = long_run(run)
    assert joined.frozen_at() is not None
    assert math.isnan(lemma_5_7.increment_error(joined, joined.frozen_at()))
    verdict = ib.claims["K-5.7"].check(run)
    assert verdict.conclusion == "undecided"


# -- S-2, S-3 --------


def test_a_product_that_passes_its_limit_is_not_there():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 1e-3, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 2.0, 3000, record=range(1, 3001))
    limit = float(s02_loss_constant.pattern_multipliers(run.final, data).sum())
    off = ((run.log_loss + run.step.double().log()).exp() * 2 / limit - 1).abs()
    assert int((off < 1e-3).sum()) < 300
    at = int(off.argmin()) + 1
    assert ib.claims["S-2"].check(first(run, at)).verdict != "holds"


@pytest.mark.parametrize("scale", [1e-2, 1e-5, 1e-8])
def test_the_box_of_s3_is_kept_at_every_size_of_start(scale):
    data = ib.data.correlated(4, p=0.01, d=7)
    net = ib.TwoLayer.init(data, 5, 5, LEAKY, scale, "1/m", seed=2)
    descent = ib.gradient_descent(net, data, 1.0, 2000)
    flow = ib.gradient_flow(descent.final, data, 300.0)
    verdict = ib.claims["S-3"].check(descent, flow)
    assert verdict.constants["inside"] >= 1 and verdict.verdict != "fails"
    assert verdict.constants["rate"] == pytest.approx(2, abs=0.2)


def test_rank_gap_counts_the_frozen_part_and_small_values():
    free = ib.data.gaussian(3, 50, seed=0, space="span")
    net = ib.TwoLayer.init(free, 4, 4, LEAKY, 1e-3, "1/m", seed=1)
    gram = net.weight_gram()
    for j, rows in enumerate((slice(0, 4), slice(4, 8))):
        values = torch.linalg.eigvalsh(gram[rows, rows])
        assert float(s03_rank_gap.rank_gap(net)[j]) == pytest.approx(
            float(values[:-1].sum()), rel=1e-6
        )
    small = ib.TwoLayer(
        torch.tensor([[1e3, 0], [1e3, 1e-9], [1e3, 0], [1e3, 0]]),
        [0.5, 0.5, -0.5, -0.5],
        LEAKY,
    )
    assert s03_rank_gap.rank_gap(small).tolist() == pytest.approx(
        [5e-19, 0.0], rel=1e-6, abs=1e-26
    )


@pytest.mark.parametrize("factor, inside", [(1.0, True), (0.9, False), (1.1, False)])
def test_the_box_is_looked_at_from_both_sides(factor, inside):
    joined = long_run(
        trained(ib.data.correlated(4, p=0.01, d=7), scale=0.05, steps=200)
    )
    k = joined.frozen_at()
    gap = s03_rank_gap.rank_gap(replace(joined.nets, weights=joined.nets.weights[k:]))
    box = s03_rank_gap.Sandwich(
        factor * gap.amin(0), gap.amax(0) * (1 if factor > 1 else factor)
    )
    assert (s03_rank_gap.inside_box(joined, k, box) >= 1) is inside


# -- balance --------


@pytest.mark.parametrize("steps, short", [(11, True), (12, False)])
def test_a_run_must_reach_its_unit_of_time(steps, short):
    data = ib.data.orthogonal(4, norms=[1, 1, 1, 2])
    run = trained(data, m=3, step_size=0.25, steps=steps)  # T = 4·3/(0.25·4) = 12
    assert bool(balances.too_short(run)) is short
    assert bool(balances.too_short(run, 0.9)) is (steps < 10.8)


def test_balance_below_the_papers_floor_is_open():
    data = ib.data.correlated(
        5, p=0.03, signs="oppose", norms=[1, 1.05, 1.1, 1.15, 1.2]
    )
    run = balances.descent_of_K(data, 5, ib.leaky_relu(0.7), 3000)
    finding, unsettled = balances._constant(
        run, "sums", 2, torch.tensor(100.0, dtype=f64)
    )
    assert finding.conclusion == "fails" and unsettled == b03_growth.OPEN


def test_relu_balance_wants_two_fifths_of_the_neurons_for_every_p():
    data = ib.data.orthogonal(6)
    shares = {}
    for seed in range(12):
        run = trained(data, ib.relu(), m=20, seed=seed, step_size=6.0)
        share = float(active_shares(run.initial, data).min())
        names = [
            h.name
            for h in ib.claims["K-5.5"].check(run).hypotheses
            if not bool(h.holds.all())
        ]
        shares[share] = "active" not in names
        assert (
            ib.claims["S-8"].check(run).verdict == "holds"
        )  # one active neuron a sample is enough there
    assert shares == {share: share >= 0.4 for share in shares}
    assert {True, False} == set(shares.values()) and 0.4 in shares


@pytest.mark.parametrize("gamma", [0.3, 1.0])
def test_s8_is_met_with_equality_by_equal_samples(gamma):
    net = usual(LEAKY, 4).initial
    silent = ib.TwoLayer(torch.zeros_like(net.weights), net.a, ib.leaky_relu(gamma))
    verdict = ib.claims["S-8"].check(ib.gradient_descent(silent, basis(), 1.0, 2000))
    assert verdict.verdict == "holds"
    assert verdict.slack == pytest.approx(1, abs=1e-6) or gamma < 1
