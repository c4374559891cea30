"""The hypotheses of the theorems, each with its slack: by how much it holds, or fails."""

from . import conditions
from .conditions import *
from .hypothesis import Hypothesis, inequality

__all__ = ["Hypothesis", "inequality"]
__all__ += conditions.__all__
