"""What a run may not say of itself, from both sides of each tolerance."""

from dataclasses import replace

import pytest

import implicit_bias as ib
from implicit_bias.theorems import records, repetition


@pytest.mark.parametrize("back, refused", [(0.0, False), (5e-10, False), (2e-9, True)])
def test_a_clock_may_stand_still_to_rounding_but_not_go_back(back, refused):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1, seed=0)
    run = ib.gradient_flow(net, data, 3.0, record=[1.0, 2.0, 3.0])
    log_time = run.log_time.clone()
    log_time[-1] = log_time[-2] - back
    moved = replace(run, log_time=log_time)
    if refused:
        with pytest.raises(ValueError, match="^run: expected log_time that rises"):
            records._loss_clock_fits(moved, "run", moved.s)
    else:
        records._loss_clock_fits(moved, "run", moved.s)


@pytest.mark.parametrize("index", [1, 3])
def test_the_first_and_the_last_stretch_of_a_flow_are_run_again(index):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1, seed=0)
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 3.0, 4.0])
    repetition._flow_again(run, "run")
    states = list(run._states)
    states[index] = states[index] * 1.001
    with pytest.raises(ValueError, match=f"another network at record {index}$"):
        repetition._flow_again(replace(run, _states=tuple(states)), "run")
