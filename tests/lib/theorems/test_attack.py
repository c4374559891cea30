"""Attacks that once got a wrong verdict, a silent acceptance or a raw traceback, each
as its kind.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from functools import cache

import pytest
import torch

import implicit_bias as ib
from implicit_bias import losses
from implicit_bias.data.spectra import isotropic
from implicit_bias.losses import Loss
from implicit_bias.theorems.claim import registry
from implicit_bias.theorems.genuine import genuine
from implicit_bias.training.trajectory import Trajectory


@cache
def descent(loss: str | Loss = "logistic", steps: int = 20_000) -> Trajectory:
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.5), 1e-2, output="1/m", seed=1)
    return ib.gradient_descent(net, data, 0.5, steps, loss)


@cache
def flow() -> Trajectory:
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.5), 1e-2, seed=1)
    return ib.gradient_flow(net, data, 60.0)


def verdict(id: str, *args: object, **named: object) -> str:
    return registry[id].check(*args, **named).verdict


# -- runs that are not what they say --------


@pytest.mark.parametrize("after", [10, 600, 5000])
@pytest.mark.parametrize("by", [20_000, 10**6])
def test_late_steps_renumbered_are_refused(after: int, by: int) -> None:
    run = descent()
    step = torch.where(run.step > after, run.step + by, run.step)
    with pytest.raises(
        ValueError, match="^run: expected records that gradient descent gives"
    ):
        genuine(replace(run, step=step))


def test_a_stretch_in_the_middle_of_other_steps_is_refused() -> None:
    run = descent()
    middle = int((run.step > 2000).nonzero()[0])
    other = ib.gradient_descent(run.net(middle - 1), run.data, 0.7, 300, record=[300])
    states = list(run._states)
    states[middle] = states[middle - 1] + other._states[-1]
    nets = [run._lift(state) for state in states]
    margins = torch.stack([run.data.y * net(run.data.x) for net in nets])
    forged = replace(
        run,
        _states=tuple(states),
        margins=margins,
        log_loss=run.loss.log_mean(margins),
        frobenius=torch.stack([net.frobenius() for net in nets]),
        spectral=torch.stack([net.spectral() for net in nets]),
    )
    with pytest.raises(
        ValueError, match="^run: expected records that gradient descent gives"
    ):
        genuine(forged)


def test_descent_at_rest_and_descent_that_swings_are_genuine() -> None:
    twins = registry["F-4.2.1"].counter()[0]
    assert genuine(twins) is twins
    data = ib.Dataset([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], [1, -1, 1])
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.5, output="1/m", seed=0)
    swinging = ib.gradient_descent(net, data, 60.0, 3000)
    assert genuine(swinging) is swinging


FORGED = {
    "half": lambda run: {"s": run.s / 2},
    "behind": lambda run: {"s": run.s - 0.5},
    "later": lambda run: {"log_time": run.log_time + 1},
    "earlier": lambda run: {"log_time": run.log_time - 0.1},
    "stretched": lambda run: {"log_time": 1.5 * run.log_time},
    "only the end later": lambda run: {
        "log_time": torch.cat([run.log_time[:-1], run.log_time[-1:] + 1])
    },
}


@pytest.mark.parametrize("how", FORGED)
def test_another_clock_or_time_of_a_flow_is_refused(how: str) -> None:
    assert genuine(flow()) is flow()
    with pytest.raises(ValueError, match="^run: expected (s|log_time) that"):
        genuine(replace(flow(), **FORGED[how](flow())))


def test_a_change_through_a_numpy_view_is_seen() -> None:
    run = descent(steps=100).member()
    run = replace(run, margins=run.margins.clone())
    genuine(run)
    run.margins.numpy()[5] *= 1.1
    with pytest.raises(ValueError, match="^run: expected margins"):
        genuine(run)


def test_a_flow_goes_on_from_a_recorded_step_only() -> None:
    run = descent()
    short = ib.gradient_descent(
        run.initial, run.data, 0.5, 20_000, record=[0, 1, 2, 100]
    )
    onwards = ib.gradient_flow(short.final, run.data, 40.0)
    with pytest.raises(ValueError, match="^run: expected a record of the last step"):
        registry["K-5.6"].check(short, onwards)


# -- names that lie --------

LIAR = Loss(
    "logistic",
    *(
        getattr(losses.EXPONENTIAL, name)
        for name in ("value", "log_value", "g", "log_g")
    ),
)


@pytest.mark.parametrize(
    "id",
    "K-5.4 K-5.6 K-5.7 K-B.3 K-B.4 K-4.1.b K-4.1.c K-4.1.d S-2 S-6 S-8 K-F.2".split(),
)
def test_a_loss_called_logistic_is_not(id: str) -> None:
    seen = registry[id].check(descent(LIAR, 2000))
    assert seen.verdict not in ("holds", "fails")
    assert any(
        "logistic" in part.statement + part.name and not bool(part.holds.all())
        for part in seen.hypotheses
    )


def test_a_loss_of_ones_own_is_no_instance() -> None:
    own = Loss(
        "own",
        lambda q: 1 / (1 + q.abs()),
        lambda q: -torch.log(1 + q.abs()),
        lambda q: (1 + q.abs()) ** -2,
        lambda q: -2 * torch.log(1 + q.abs()),
    )
    for id in ("F-D.2", "F-E.14"):
        net, data = registry[id].instance()
        assert verdict(id, net, data, own, False) == "vacuous"
    assert verdict("S-4", *registry["S-4"].instance(), loss=own) == "vacuous"


class Doubled(ib.Activation):
    """Twice the ReLU, under the ReLU's name."""

    def value(self, z):
        return 2 * z.clamp_min(0)

    def derivative(self, z):
        return 2.0 * (z >= 0).to(z)


def test_an_activation_called_relu_is_not() -> None:
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(
        data, 100, 100, Doubled("relu", 0.0), 1e-2, output="1/m", seed=1
    )
    run = ib.gradient_descent(net, data, 5.0, 3000)
    for id in ("K-F.2", "K-F.3.k", "S-7"):
        seen = registry[id].check(run)
        assert seen.verdict == "vacuous"
        assert not bool(
            next(part for part in seen.hypotheses if part.name == "activation").holds
        )


def test_a_leak_below_float32_is_a_leak() -> None:
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(
        data, 30, 30, ib.leaky_relu(1e-50), 1e-4, output="1/m", seed=1
    )
    run = ib.gradient_descent(net, data, 1.0, 500)
    for id in ("K-5.8", "K-G.1", "K-F.2"):
        seen = registry[id].check(run)
        assert not bool(
            next(part for part in seen.hypotheses if part.name == "activation").holds
        )


# -- points --------

POINTS = (
    "F-3.2.1 F-3.2.2 F-3.2.3 F-3.2.4 F-3.2.5 F-3.2.6 F-3.2.7 F-B.1 F-B.2 S-1".split()
)


@pytest.mark.parametrize("id", POINTS)
def test_no_kkt_point_is_refuted_at_a_leak_that_rounding_loses(id: str) -> None:
    data = ib.data.orthogonal(4)
    for gamma in (1e-8, 1e-40, 1e-100):
        assert verdict(id, ib.kkt_point(data, 4, 4, gamma).net, data) == "undecided"


@pytest.mark.parametrize("id", POINTS)
def test_a_second_layer_that_counts_as_the_papers_is_it(id: str) -> None:
    data = ib.data.orthogonal(4)
    net = ib.kkt_point(data, 4, 4, 0.5).net
    assert verdict(id, replace(net, a=net.a * (1 + 9e-7)), data) == "holds"
    uneven = net.a.clone()
    uneven[0] *= 1 + 9e-7
    assert verdict(id, replace(net, a=uneven), data) == "undecided"


def test_what_scaling_or_width_alone_makes_true_says_nothing() -> None:
    one = ib.Dataset([[1.0, 0.0, 0.0]], [1])
    assert verdict("F-3.2.1", ib.kkt_point(one, 2, 3, 0.5).net, one) == "vacuous"
    data = ib.data.orthogonal(4)
    pair = ib.kkt_point(data, 1, 1, 0.5).net
    assert [verdict(id, pair, data) for id in ("F-3.2.2", "F-3.2.6")] == ["vacuous"] * 2
    assert [verdict(id, pair, data) for id in ("F-3.2.1", "F-3.2.3", "F-3.2.7")] == [
        "holds"
    ] * 3


# -- smoothness --------


def pair(gamma: float, seed: int = 1) -> ib.TwoLayer:
    return ib.TwoLayer.init(
        ib.data.orthogonal(4), 4, 4, ib.smoothed_leaky_relu(gamma), 1.0, seed=seed
    )


def test_an_h_below_the_activations_own_is_no_bound() -> None:
    data = ib.data.orthogonal(4)
    for id in ("F-E.2", "F-E.3"):
        assert verdict(id, pair(0.5), pair(0.5, 2), data, 0.124, False) == "vacuous"
        assert verdict(id, pair(0.5), pair(0.5, 2), data, 0.125, False) == "holds"


def test_two_activations_are_no_pair() -> None:
    for id in ("F-E.2", "F-E.3"):
        with pytest.raises(ValueError, match="^other: expected the activation of net"):
            registry[id].check(pair(0.5), pair(0.1, 2), ib.data.orthogonal(4))


@pytest.mark.parametrize("gamma", [1 - 1e-12, 1.0])
def test_an_activation_that_is_linear_to_rounding_refutes_nothing(gamma: float) -> None:
    assert (
        verdict("F-E.2", pair(gamma), pair(gamma, 2), ib.data.orthogonal(4))
        == "vacuous"
    )


# -- chance and open constants --------


def test_what_chance_does_refutes_no_rank() -> None:
    for id in ("K-F.3", "K-F.3.k", "S-7"):
        assert verdict(id, *made(id)) == "holds"
        assert verdict(id, *made(id), delta=0.9) == "undecided"
        assert verdict(id, *made(id), delta=1e-300) == "vacuous"


def test_a_constant_that_nobody_proved_refutes_nothing() -> None:
    assert verdict("K-5.6", *registry["K-5.6"].instance(), constant=0.2) == "undecided"
    assert verdict("K-5.6", *registry["K-5.6"].instance(), constant=0.31) == "holds"
    assert verdict("K-H.3", *registry["K-H.3"].instance(), constant=1e-3) == "undecided"
    run = registry["F-E.4"].instance()[0]
    assert verdict("F-E.4", run, constant=1.5) == "undecided"
    low = registry["F-4.2.3"].instance()[0]
    assert verdict("F-4.2.3", low, constant=0.5) == "undecided"


def test_orthogonal_or_normalised_samples_were_not_drawn_from_a_gaussian() -> None:
    spectrum = isotropic(10**6)
    drawn = ib.data.gaussian(10, 10**6, seed=1)
    assert verdict("F-3.3", drawn, spectrum) == "holds"
    assert (
        verdict("F-3.3", ib.data.orthogonal(10, d=10**6, norms=1000.0), spectrum)
        == "vacuous"
    )
    one_length = replace(drawn, x=1000 * drawn.x / drawn.norms.unsqueeze(-1))
    assert verdict("F-3.3", one_length, spectrum) == "vacuous"
    for seed in range(8):
        for n in (2, 10):
            assert (
                verdict(
                    "F-3.3", ib.data.gaussian(n, 10**5, seed=seed), isotropic(10**5)
                )
                == "holds"
            )


def test_sequences_whose_steps_rounding_hides_decide_nothing() -> None:
    assert verdict("K-5.3", torch.full((5,), 800.0), 1.0, 1.0) == "undecided"
    both = torch.stack(
        [torch.full((3,), 800.0), torch.log(1 + torch.arange(3.0))], dim=-1
    )
    assert verdict("K-5.3", both, 0.1, 1.0) == "undecided"


# -- numbers --------


@pytest.mark.parametrize(
    "delta", [0, 1, math.nan, math.inf, "a", torch.tensor([0.1, 0.2]), True]
)
@pytest.mark.parametrize(
    "id", "F-3.3 F-E.1 F-E.4 F-E.11.a F-E.12 K-A.1 K-5.4 K-H.3".split()
)
def test_every_delta_is_a_probability(id: str, delta: object) -> None:
    with pytest.raises(ValueError, match="^delta: expected"):
        registry[id].check(**named(id) | {"delta": delta})


def named(id: str) -> dict[str, object]:
    """The arguments of a positive control, by name."""
    return dict(
        zip(inspect.signature(registry[id].check).parameters, made(id), strict=False)
    )


@cache
def made(id: str) -> tuple:
    return registry[id].instance()


WRONG = {
    "F-E.2": ("H", ["a", -1, math.inf]),
    "F-E.4": ("constant", ["a", 0, math.nan, math.inf, torch.tensor([1.0, 2.0])]),
    "F-4.2.3": ("constant", ["a", 0, -1.0, torch.tensor([1.0, 2.0])]),
    "F-E.5": ("constant", ["a", 0, -1, math.inf]),
    "F-E.6": ("c", ["a", 0, math.inf]),
    "F-E.8": ("c", ["a", torch.tensor([1.0, 2.0])]),
    "F-E.10": ("rho", ["a", 0, torch.tensor([1.0, 2.0])]),
    "F-E.11.c": ("step_size", ["a", None, 0]),
    "F-D.2": ("search", ["yes", 2]),
    "K-A.1": ("gaussian", ["no", None]),
    "K-5.6": ("constant", ["a", torch.tensor([1.0, 2.0])]),
    "K-5.8": ("C", ["a", torch.tensor([1.0, 2.0])]),
    "K-4.1.c": ("constant", ["a", torch.tensor([1.0, 2.0])]),
    "S-4": ("m_pos", ["a", 1.5, -1]),
    "S-10": ("step_size", ["a", None]),
}


@pytest.mark.parametrize("id", WRONG)
def test_a_wrong_number_is_refused_by_its_name(id: str) -> None:
    name, values = WRONG[id]
    for value in values:
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            registry[id].check(**named(id) | {name: value})


def test_numbers_at_the_ends_of_floats_decide_nothing() -> None:
    data = ib.data.orthogonal(4)
    assert verdict("S-4", data, 1e-300) == "undecided"
    for gamma in (1e-300, 1e-30, 1 - 1e-16):
        with pytest.raises(ValueError, match="^gamma, kappa: expected"):
            registry["S-5"].check(gamma, 1.0, 4)
    start, held, scale = registry["F-E.1"].instance()[:3]
    assert verdict("F-E.1", start, held, 1e300) == "vacuous"
    assert scale < 1


def test_batches_that_do_not_go_together_are_refused() -> None:
    data = ib.data.orthogonal(4)
    nets = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.5), 1.0, seed=[1, 2, 3])
    data = ib.Dataset(torch.stack([data.x, data.x]), torch.stack([data.y, data.y]))
    with pytest.raises(ValueError, match="^data: expected"):
        registry["F-D.2"].check(nets, data, search=False)
