"""Wrong inputs made from the arguments of a claim's positive control, by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch

import implicit_bias as ib
from implicit_bias.theorems.claim import registry
from implicit_bias.training.trajectory import FLOW, Trajectory

STEPS = 300
"""Runs made again on other data take this many steps at most."""

CLOCK = 20.0
"""Flows made again on other data go to this loss clock at most."""


@cache
def instance(id: str) -> tuple:
    """The arguments of a claim's positive control, made once."""
    return registry[id].instance()


def again(
    run: Trajectory, *, net=None, data=None, loss=None, steps=STEPS, batch=None
) -> Trajectory:
    """A short, honest run of the same rule from ``net`` on ``data``."""
    net = net or run.initial
    data = data or run.data
    loss = loss or run.loss.name
    if run.rule == FLOW:
        return ib.gradient_flow(net, data, min(float(run.s[-1]), CLOCK), loss)
    steps = min(int(run.step[-1]), steps)
    if batch is not None:
        steps = min(steps, 20)
        return ib.sgd(
            net, data, run.step_size, steps, batch, loss=loss, record=range(steps + 1)
        )
    return ib.gradient_descent(net, data, run.step_size, steps, loss)


def with_data(
    data: ib.Dataset, change: Callable[[torch.Tensor, torch.Tensor], tuple]
) -> ib.Dataset:
    """Samples and labels changed; what the data lie in stays."""
    x, y = change(data.x.clone(), data.y.clone())
    return replace(data, x=x, y=y)


def one_class(data: ib.Dataset) -> ib.Dataset:
    return with_data(data, lambda x, y: (x, torch.ones_like(y)))


def one_sample(data: ib.Dataset) -> ib.Dataset:
    return with_data(data, lambda x, y: (x[..., :1, :], y[..., :1]))


def zero_row(data: ib.Dataset) -> ib.Dataset:
    def change(x, y):
        x[..., 0, :] = 0
        return x, y

    return with_data(data, change)


def opposite_twins(data: ib.Dataset) -> ib.Dataset:
    def change(x, y):
        x[..., 1, :], y[..., 0], y[..., 1] = x[..., 0, :], 1, -1
        return x, y

    return with_data(data, change)


def silent(net: ib.TwoLayer) -> ib.TwoLayer:
    """The zero network of the same shape."""
    frozen = None if net.frozen_gram is None else torch.zeros_like(net.frozen_gram)
    return ib.TwoLayer(torch.zeros_like(net.weights), net.a, net.activation, frozen)


def untrained(net: ib.TwoLayer) -> ib.TwoLayer:
    made = torch.Generator().manual_seed(5)
    return ib.TwoLayer(
        torch.randn(net.weights.shape, generator=made, dtype=torch.float64),
        net.a,
        net.activation,
    )


def other_activation(net: ib.TwoLayer) -> ib.TwoLayer:
    """ReLU for leaky and smooth networks, and a leaky ReLU for ReLU."""
    relu = not bool((torch.as_tensor(net.activation.gamma) > 0).all())
    return replace(net, activation=ib.leaky_relu(0.5) if relu else ib.relu())


def mapped(id: str, on_run=None, on_net=None, on_data=None) -> tuple | None:
    """The arguments with runs, networks and data changed; None where nothing would be.
    Of two runs only the first is changed, and the second left out.
    """
    made = []
    runs = 0
    for value in instance(id):
        how = {Trajectory: on_run, ib.TwoLayer: on_net, ib.Dataset: on_data}.get(
            type(value)
        )
        runs += isinstance(value, Trajectory)
        if runs == 2 and on_run is not None:
            break
        made.append(value if how is None else how(value))
    changed = any(new is not old for new, old in zip(made, instance(id), strict=False))
    return tuple(made) if changed else None


def on_data(change):
    return lambda id: mapped(
        id, lambda run: again(run, data=change(run.data)), None, change
    )


def on_net(change):
    return lambda id: mapped(
        id, lambda run: again(run, net=change(run.initial)), change
    )


def on_run(change):
    return lambda id: mapped(id, change)


def moved_state(run):
    states = list(run._states)
    states[len(states) // 2] = states[len(states) // 2] + 1e-3 * states[-1].norm()
    return replace(run, _states=tuple(states))


def other_rule(run):
    if run.rule != FLOW:
        return again(run, batch=1)
    return ib.gradient_descent(run.initial, run.data, 1e-3, 5, run.loss.name)


def at_the_start(run):
    if run.rule == FLOW:
        return ib.gradient_flow(
            run.initial, run.data, float(run.s[0]) + 1e-9, run.loss.name
        )
    return again(run, steps=0)


KINDS = {
    "no step": on_run(at_the_start),
    "one step": on_run(lambda run: run if run.rule == FLOW else again(run, steps=1)),
    "other rule": on_run(other_rule),
    "exponential loss": on_run(lambda run: again(run, loss="exponential")),
    "other step": on_run(
        lambda run: (
            run if run.rule == FLOW else replace(run, step_size=run.step_size / 4)
        )
    ),
    "labels rolled": on_run(
        lambda run: replace(
            run, data=with_data(run.data, lambda x, y: (x, y.roll(1, -1)))
        )
    ),
    "time reversed": on_run(lambda run: replace(run, margins=run.margins.flip(0))),
    "a state moved": on_run(moved_state),
    "one class": on_data(one_class),
    "one sample": on_data(one_sample),
    "zero row": on_data(zero_row),
    "opposite twins": on_data(opposite_twins),
    "zero network": on_net(silent),
    "other activation": on_net(other_activation),
    "untrained": lambda id: mapped(id, None, untrained),
}
