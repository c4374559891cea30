"""Shared makers of small networks and data, and the settings of the property tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

import implicit_bias as ib

torch.set_num_threads(1)
settings.register_profile(
    "lib",
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lib")

ACTIVATIONS = {
    "leaky": ib.leaky_relu(0.3),
    "relu": ib.relu(),
    "linear": ib.leaky_relu(1.0),
    "smooth": ib.smoothed_leaky_relu(0.2),
}


@pytest.fixture(params=list(ACTIVATIONS))
def activation(request):
    return ACTIVATIONS[request.param]


@pytest.fixture(params=["logistic", "exponential"])
def loss(request):
    return request.param


@pytest.fixture
def rejects():
    """``with rejects("x", "index (1, 0)"):`` expects a ValueError that starts with the
    argument and holds the rest.
    """

    def expect(argument, *words):
        pattern = rf"(?s)^{argument}: .*" + "".join(f"(?=.*{word})" for word in words)
        return pytest.raises(ValueError, match=pattern)

    return expect
