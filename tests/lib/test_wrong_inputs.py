"""Every claim, put to inputs that are no instance of it, or barely one: none may be called true or refuted.

The inputs are made from the claim's own positive control. ``fails`` is never right, for every statement of the register
is true; ``holds`` is right where the changed input still meets all hypotheses, which :data:`LEGAL` lists with the
reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

import implicit_bias as ib
from implicit_bias.claims import registry
from implicit_bias.claims.guard import _kinds
from implicit_bias.claims.verdict import UNDECIDED, VACUOUS, Verdict
from implicit_bias.network import TwoLayer
from implicit_bias.trajectory import FLOW, Trajectory

SHORT = 60
"""Steps of a run that is made again; enough to see something, and quick."""

LEGAL: dict[tuple[str, str], str] = {}
"""Claims and kinds of change that leave an instance of the claim: its check may say that it holds."""


# -- changed instances -----------------------------------------------------------------------------------------------


def cut(run: Trajectory, records: int) -> Trajectory:
    """The run as if it had ended after so many records."""
    series = ("log_loss", "margins", "frobenius", "spectral", "step", "s", "log_time")
    shorter = {name: None if getattr(run, name) is None else getattr(run, name)[:records] for name in series}
    return replace(run, **shorter, _states=run._states[:records], _end=None)


def again(run: Trajectory, net: TwoLayer, data: ib.Dataset) -> Trajectory:
    """The same rule from another start or on other data."""
    if run.rule == FLOW:
        start = -float(run.loss.log_mean(data.y * net(data.x)).max())
        return ib.gradient_flow(net, data, start + 1.0, run.loss)
    return ib.gradient_descent(net, data, run.step_size, min(SHORT, int(run.step[-1])), run.loss)


def of_another_rule(run: Trajectory) -> Trajectory:
    if run.data.n == 1:
        return ib.gradient_flow(run.initial, run.data, 0.1 - float(run.log_loss[0].max()))
    step = 1.0 if run.step_size is None else run.step_size
    return ib.sgd(run.initial, run.data, step, 30, batch_size=1)


def one_class(data: ib.Dataset) -> ib.Dataset:
    return replace(data, y=torch.ones_like(data.y))


def one_sample(data: ib.Dataset) -> ib.Dataset:
    return replace(data, x=data.x[..., :1, :], y=data.y[..., :1])


def zero_row(data: ib.Dataset, row: int) -> ib.Dataset:
    x = data.x.clone()
    x[..., row, :] = 0
    return replace(data, x=x)


def zero_network(net: TwoLayer) -> TwoLayer:
    frozen = None if net.frozen_gram is None else torch.zeros_like(net.frozen_gram)
    return TwoLayer(torch.zeros_like(net.weights), net.a, net.activation, frozen)


def mapped(
    arguments: tuple,
    data: Callable[[ib.Dataset], ib.Dataset] = lambda given: given,
    net: Callable[[TwoLayer], TwoLayer] = lambda given: given,
) -> tuple:
    """The arguments with every data set and network changed, and every run made again from what it then starts with."""
    changed = []
    for value in arguments:
        if isinstance(value, Trajectory):
            start = changed[-1].final if changed and isinstance(changed[-1], Trajectory) else net(value.initial)
            value = again(value, start, data(value.data))
        elif isinstance(value, ib.Dataset):
            value = data(value)
        elif isinstance(value, TwoLayer):
            value = net(value)
        changed.append(value)
    return tuple(changed)


def for_runs(change: Callable[[Trajectory], Trajectory]) -> Callable[[tuple], tuple]:
    return lambda arguments: (change(arguments[0]), *arguments[1:])


def stepped_otherwise(run: Trajectory) -> Trajectory:
    if run.step_size is None:
        return replace(run, s=run.s + 1)
    return replace(run, step_size=run.step_size / 4)


OF_RUNS: dict[str, Callable[[tuple], tuple]] = {
    "another rule": for_runs(of_another_rule),
    "labels rolled": for_runs(lambda run: replace(run, data=replace(run.data, y=-run.data.y))),
    "margins reversed": for_runs(lambda run: replace(run, margins=run.margins.flip(0))),
    "step or clock": for_runs(stepped_otherwise),
}
"""Runs that are not what they say, or of a rule that the statement is not about: an error."""

ANY: dict[str, Callable[[tuple], tuple]] = {
    "one class": lambda arguments: mapped(arguments, data=one_class),
    "one sample": lambda arguments: mapped(arguments, data=one_sample),
    "zero network": lambda arguments: mapped(arguments, net=zero_network),
    "first sample zero": lambda arguments: mapped(arguments, data=lambda given: zero_row(given, 0)),
    "last sample zero": lambda arguments: mapped(arguments, data=lambda given: zero_row(given, -1)),
}


@cache
def instance(id: str) -> tuple:
    return registry[id].instance()


def kinds(id: str) -> list[type]:
    """Which runs, networks and data a check takes, read off its signature: its instance may take seconds to make."""
    return [kind for kind, _ in _kinds(registry[id].check.__wrapped__).values()]


def takes_a_run(id: str) -> bool:
    return kinds(id)[:1] == [Trajectory]


def takes_data(id: str) -> bool:
    return bool(kinds(id))


def verdict_of(id: str, arguments: tuple) -> Verdict | str:
    """The verdict, or the sentence of the error that refuses the input."""
    try:
        return registry[id].check(*arguments)
    except (ValueError, TypeError) as error:
        assert ":" in str(error), f"an error that names no argument: {error!r}"
        return str(error)


WITH_RUNS = [id for id in registry if takes_a_run(id)]
WITH_DATA = [id for id in registry if takes_data(id)]


# -- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OF_RUNS)
@pytest.mark.parametrize("id", WITH_RUNS)
def test_a_run_that_is_not_what_it_says_is_refused(id: str, kind: str) -> None:
    with pytest.raises(ValueError, match="^(run|trajectory): expected"):
        registry[id].check(*OF_RUNS[kind](instance(id)))


@pytest.mark.parametrize("id", WITH_RUNS)
def test_a_run_of_one_record_shows_nothing(id: str) -> None:
    found = verdict_of(id, (cut(instance(id)[0], 1),))
    assert isinstance(found, str) or found.verdict in (VACUOUS, UNDECIDED), found


@pytest.mark.parametrize("records", [2, 4])
@pytest.mark.parametrize("id", WITH_RUNS)
def test_a_run_too_short_refutes_nothing(id: str, records: int) -> None:
    found = verdict_of(id, (cut(instance(id)[0], records),))
    assert isinstance(found, str) or found.verdict != "fails", found


@pytest.mark.parametrize("kind", ANY)
@pytest.mark.parametrize("id", WITH_DATA)
def test_what_is_barely_an_instance_is_not_refuted(id: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            arguments = ANY[kind](instance(id))
        except ValueError as error:
            pytest.skip(f"there is no such input: {error}")
        found = verdict_of(id, arguments)
    allowed = (VACUOUS, UNDECIDED, "holds") if (id, kind) in LEGAL else (VACUOUS, UNDECIDED)
    assert isinstance(found, str) or found.verdict in allowed, found
