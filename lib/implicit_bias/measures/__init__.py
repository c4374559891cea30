"""What is measured on a network or a run: ranks, margins, loss ratio, patterns,
decomposition, gradients.
"""

from . import decomposition, gradients, outputs, ranks, runs
from .decomposition import *
from .gradients import *
from .outputs import *
from .ranks import *
from .runs import *

__all__ = []
__all__ += decomposition.__all__
__all__ += gradients.__all__
__all__ += outputs.__all__
__all__ += ranks.__all__
__all__ += runs.__all__
