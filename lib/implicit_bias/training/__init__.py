"""Gradient descent, other rules, and gradient flow on the first layer, in the span of
the data.
"""

from . import rules
from .descent import gradient_descent, log_spaced, sgd
from .flow import gradient_flow
from .rules import *
from .trajectory import Outcome, Trajectory

__all__ = [
    "Outcome",
    "Trajectory",
    "gradient_descent",
    "gradient_flow",
    "log_spaced",
    "sgd",
]
__all__ += rules.__all__
