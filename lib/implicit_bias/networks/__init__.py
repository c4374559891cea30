"""Activations, and two-layer networks with a fixed second layer."""

from . import activations
from .activation import Activation
from .activations import *
from .two_layer import TwoLayer

__all__ = ["Activation", "TwoLayer"]
__all__ += activations.__all__
