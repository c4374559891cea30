"""Runs that are not what they say are refused, whatever field was changed; genuine ones
pass.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

import implicit_bias as ib
from implicit_bias import losses
from implicit_bias.theorems.genuine import genuine
from implicit_bias.theorems.guard import guarded
from implicit_bias.training import descent as dynamics
from implicit_bias.training.trajectory import DESCENT, FLOW, Trajectory


@cache
def descent(activation: str = "leaky") -> Trajectory:
    data = ib.data.correlated(6, p=0.05, signs="oppose")
    made = {
        "leaky": ib.leaky_relu(0.5),
        "relu": ib.relu(),
        "smooth": ib.smoothed_leaky_relu(0.5),
    }[activation]
    net = ib.TwoLayer.init(data, 3, 3, made, 1e-2, output="1/m", seed=1)
    return ib.gradient_descent(
        net, data, 0.7, 3000, record=dynamics.log_spaced(3000, 40)
    )


@cache
def flow() -> Trajectory:
    data = ib.data.correlated(6, p=0.05, signs="oppose")
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.5), 1e-2, seed=1)
    return ib.gradient_flow(net, data, 30.0)


@cache
def batch() -> Trajectory:
    data = ib.data.gaussian(5, 5000, seed=2)
    nets = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.5), 1e-2, output="1/m", seed=1)
    steps = torch.tensor([1e-4, 2e-4, 4e-4], dtype=torch.float64)
    return ib.gradient_descent(nets, data, steps, 400)


def rolled(run: Trajectory) -> ib.Dataset:
    return replace(run.data, y=run.data.y.roll(1))


def one_state_moved(
    run: Trajectory, index: int, by: float = 1e-6
) -> tuple[torch.Tensor, ...]:
    states = list(run._states)
    states[index] = states[index] * (1 + by)
    return tuple(states)


def scaled_at(tensor: torch.Tensor, index: int, factor: float) -> torch.Tensor:
    changed = tensor.clone()
    changed[index] = changed[index] * factor
    return changed


COMMON = {
    "labels rolled": lambda run: replace(run, data=rolled(run)),
    "one label flipped": lambda run: replace(
        run,
        data=replace(
            run.data,
            y=run.data.y * torch.tensor([-1.0, *[1.0] * (run.data.n - 1)]).double(),
        ),
    ),
    "other samples": lambda run: replace(
        run, data=ib.data.correlated(6, p=0.06, signs="oppose")
    ),
    "other loss": lambda run: replace(run, loss=losses.EXPONENTIAL),
    "margins reversed": lambda run: replace(run, margins=run.margins.flip(0)),
    "margins and losses reversed": lambda run: replace(
        run, margins=run.margins.flip(0), log_loss=run.log_loss.flip(0)
    ),
    "a loss": lambda run: replace(run, log_loss=scaled_at(run.log_loss, 3, 1.001)),
    "a norm": lambda run: replace(run, frobenius=scaled_at(run.frobenius, -1, 1.001)),
    "a spectral norm": lambda run: replace(
        run, spectral=scaled_at(run.spectral, -1, 0.9)
    ),
    "first state": lambda run: replace(run, _states=one_state_moved(run, 1)),
    "last state": lambda run: replace(run, _states=one_state_moved(run, -1)),
    "middle state": lambda run: replace(
        run, _states=one_state_moved(run, len(run) // 2)
    ),
    "other start": lambda run: replace(
        run,
        initial=ib.TwoLayer(
            2 * run.initial.weights, run.initial.a, run.initial.activation
        ),
    ),
    "other activation": lambda run: replace(
        run,
        initial=ib.TwoLayer(run.initial.weights, run.initial.a, ib.leaky_relu(0.25)),
    ),
    "no rule": lambda run: replace(run, rule=""),
}

OF_DESCENT = {
    **{
        f"step times {k}": lambda run, k=k: replace(run, step_size=k * run.step_size)
        for k in (0.1, 0.25, 0.999, 2.0)
    },
    "steps doubled": lambda run: replace(run, step=2 * run.step),
    "steps shifted": lambda run: replace(run, step=run.step + 1),
    "steps reversed": lambda run: replace(run, step=run.step.flip(0)),
    "no step size": lambda run: replace(run, step_size=None),
    "called a flow": lambda run: replace(run, rule=FLOW),
}

OF_FLOW = {
    "clock ahead": lambda run: replace(run, s=run.s * 1.5),
    "time falls": lambda run: replace(run, log_time=run.log_time.flip(0)),
    "called descent": lambda run: replace(run, rule=DESCENT),
}


@pytest.mark.parametrize("activation", ["leaky", "relu", "smooth"])
def test_a_genuine_descent_passes(activation: str) -> None:
    run = descent(activation)
    assert genuine(run) is run
    assert genuine(run, (DESCENT,)) is run


def test_genuine_flows_batches_and_members_pass() -> None:
    assert genuine(flow(), (FLOW,)) is flow()
    assert genuine(batch(), (DESCENT,)) is batch()
    member = batch().member(1)
    assert genuine(member) is member


def test_runs_with_few_records_pass() -> None:
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.5), 1e-3, output="1/m", seed=1)
    for steps, record in (
        (0, [0]),
        (1, [0, 1]),
        (700, [700]),
        (700, [0, 700]),
        (700, [650, 700]),
    ):
        genuine(ib.gradient_descent(net, data, 0.5, steps, record=record))


@pytest.mark.parametrize("change", [*COMMON, *OF_DESCENT])
def test_a_changed_descent_is_refused(change: str) -> None:
    changed = (COMMON | OF_DESCENT)[change](descent())
    with pytest.raises(ValueError, match="^run: expected"):
        genuine(changed, (DESCENT, FLOW))


@pytest.mark.parametrize("change", [*COMMON, *OF_FLOW])
def test_a_changed_flow_is_refused(change: str) -> None:
    changed = (COMMON | OF_FLOW)[change](flow())
    with pytest.raises(ValueError, match="^run: expected"):
        genuine(changed, (DESCENT, FLOW))


def test_a_batch_with_one_wrong_step_size_is_refused() -> None:
    for worst in (0, 1, 2):
        sizes = batch().step_size.clone()
        sizes[worst] *= 1.01
        with pytest.raises(ValueError, match="step size"):
            genuine(replace(batch(), step_size=sizes))


def test_a_rule_that_is_not_asked_for_is_refused() -> None:
    with pytest.raises(
        ValueError, match="expected a run of gradient flow, got one of gradient descent"
    ):
        genuine(descent(), (FLOW,))
    data = descent().data
    net = descent().initial
    minibatches = ib.sgd(net, data, 0.5, 20, batch_size=1)
    with pytest.raises(ValueError, match="batches of 1"):
        genuine(minibatches)
    whole = ib.sgd(net, data, 0.5, 20, batch_size=data.n)
    assert genuine(whole, (DESCENT,)) is whole


def test_a_change_in_place_is_seen_after_a_first_look() -> None:
    run = replace(descent(), margins=descent().margins.clone())
    genuine(run)
    run.margins[2] += 1
    with pytest.raises(ValueError, match="margins"):
        genuine(run)


def test_arguments_are_checked_by_type_and_fit() -> None:
    def check(net: ib.TwoLayer, data: ib.Dataset, run: Trajectory | None = None) -> str:
        return "looked"

    careful = guarded(check, {})
    net = descent().initial
    data = descent().data
    assert (
        careful(net, data)
        == careful(net, data, None)
        == careful(net, data, descent())
        == "looked"
    )
    wrong = (
        ((None, data), "net"),
        ((net, net), "data"),
        ((data, data), "net"),
        ((net, data, 3), "run"),
    )
    for arguments, name in wrong:
        with pytest.raises(TypeError, match=f"^{name}: expected a"):
            careful(*arguments)
    with pytest.raises(ValueError, match="columns"):
        careful(net, ib.data.orthogonal(3))
    with pytest.raises(ValueError, match="gradient descent, got one of gradient flow"):
        careful(net, data, flow())
    assert guarded(check, {"run": (FLOW,)})(net, data, flow()) == "looked"
