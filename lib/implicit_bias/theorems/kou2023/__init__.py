"""Kou, Chen, Gu (NeurIPS 2023): implicit bias of gradient descent for two-layer ReLU and
leaky ReLU networks on nearly-orthogonal data.

One file a statement or tight group of statements, named as the source names it; each enters
its claims where it is imported. The other files are what several of them share.
"""

from ..claim import enter_all

__all__ = enter_all(__name__, __path__)
