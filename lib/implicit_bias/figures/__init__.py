"""The book's figures: results in, matplotlib figure out. No mathematics is done here. One module a chapter, one style for all."""

from .kkt import boundary_slice, break_curves, gram_heat, multiplier_interval, neuron_arrows, sides_of_neurons
from .style import BLUE, DIVERGING, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, colour_of, guide, panels, use_style

__all__ = [
    "BLUE",
    "DIVERGING",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "YELLOW",
    "boundary_slice",
    "break_curves",
    "colour_of",
    "gram_heat",
    "guide",
    "multiplier_interval",
    "neuron_arrows",
    "panels",
    "sides_of_neurons",
    "use_style",
]
