r"""Data sets: samples ``x`` (..., n, d), labels ``y`` (..., n), and samplers for every
family the two papers use.

The Gaussian samplers reach ``d = 10^12``. Asked for more than :data:`FULL_SPACE_LIMIT`
numbers they return coordinates in the span of the data (see
:mod:`implicit_bias.data.span`): ``x`` then has ``r <= n + 2`` columns, and
``ambient_dim`` remembers ``d``. Inner products, margins and training are those of the
full space, exactly in law. ``space="full"`` or ``"span"`` overrides the choice.
"""

from . import gaussians, made_to_order, mixtures, real
from .dataset import Dataset
from .gaussians import *
from .made_to_order import *
from .mixtures import *
from .real import *

__all__ = ["Dataset"]
__all__ += gaussians.__all__
__all__ += made_to_order.__all__
__all__ += mixtures.__all__
__all__ += real.__all__
