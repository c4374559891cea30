r"""Rules: what each step of an optimiser makes of the gradient.

.. math:: W(t+1) = W(t) - \text{step\_size} \cdot U(t)

* :class:`GradientDescent`: ``U(t) = ∇L(W(t))``;
* :class:`Momentum`, the heavy ball: ``U(t) = β U(t-1) + ∇L(W(t))``, ``U(-1) = 0``;
* :class:`SignDescent`: ``U(t) = sign ∇L(W(t))``, entry by entry, with ``sign 0 = 0``.

Pass one as ``rule=`` to :func:`~implicit_bias.training.descent.gradient_descent` or
:func:`~implicit_bias.training.descent.sgd`, or one of your own: see :class:`Rule`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Generic

from torch import Tensor

from ..values.checks import fail, shown
from ..values.scalars import number_between
from .problem import Problem
from .stepper import Epochs, GradientWalker, Memory, Mover, Stepper
from .trajectory import DESCENT, FLOW

__all__ = ["GradientDescent", "Momentum", "PLAIN", "Rule", "SignDescent", "a_rule"]


class Rule(Generic[Memory]):
    """An optimiser. For one of your own, derive a class that defines ``update``.

    Attributes
    ----------
    name : str
        How a run names it. Default: the name of the class.
    in_span : bool
        Whether a rotation of the space turns the steps with the gradients. Then weights
        move within the span of the samples, and the rule sees the gradient in whatever
        orthonormal coordinates the data are held in. Otherwise (the default) data in
        span coordinates are refused.
    linear : bool
        Whether each step is a combination of the gradients so far, with coefficients
        that do not depend on them; then it is ``in_span``. Such a rule may see the
        coefficients ``c_ji`` of ``∇_{w_j} L = Σ_i c_ji x_i`` instead, which are fewer
        in high dimension. Default: False.
    """

    in_span: bool = False
    linear: bool = False

    @property
    def name(self) -> str:
        return type(self).__name__

    def update(
        self, gradient: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Memory | None]:
        """One step: ``U(t)``, shaped as the gradient, and what to remember until the
        next.

        ``gradient`` is (m, k), or (b, m, k) for the b runs of a batch, k the dimension
        or, for a linear rule, perhaps the number of samples. It may be written into,
        and kept. ``memory`` is what the step before returned, None at first: a run
        begins with none.
        """
        raise NotImplementedError

    def mover(
        self, problem: Problem, step_size: float | Tensor, minibatches: Epochs | None
    ) -> Mover:
        """What takes this rule's steps on a problem, whose state has as many columns as
        the rule needs.

        Raises
        ------
        ValueError
            If the rule leaves the span, and the data or weights are known in it only.
        """
        self._fits(problem)
        # Whatever a rule keeps in itself ends with the run.
        own = copy.copy(self)
        return GradientWalker(problem, step_size, minibatches, own._checked)

    def _fits(self, problem: Problem) -> None:
        if self.in_span or self.linear:
            return
        data = problem.data
        if data.in_span:
            cure = 'draw them with space="full"'
            wanted = f"samples in full coordinates for {self.name} ({cure})"
            fail(
                "data",
                wanted,
                f"{data.d} coordinates in the span, of {data.ambient_dim:,}",
            )
        if problem.net.frozen_gram is not None:
            wanted = f"weights in full coordinates for {self.name}"
            fail("net", wanted, "a frozen_gram of what lies outside them")

    def _checked(
        self, gradient: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Memory | None]:
        """``update``, and a word where it returns no step."""
        shape = gradient.shape
        made = self.update(gradient, memory)
        if not isinstance(made, tuple) or len(made) != 2:
            pair = "update(gradient, memory) to return a pair, the step and the memory"
            fail("rule", pair, type(made).__name__)
        step = made[0]
        if not isinstance(step, Tensor) or step.shape != shape:
            got = (
                f"shape {tuple(step.shape)}"
                if isinstance(step, Tensor)
                else type(step).__name__
            )
            fail("rule", f"steps of shape {tuple(shape)}, like the gradient", got)
        return made


@dataclass(frozen=True)
class GradientDescent(Rule[None]):
    """``U(t) = ∇L(W(t))``, the rule of the theorems on descent."""

    in_span = True
    linear = True
    name = DESCENT

    def update(self, gradient: Tensor, memory: None) -> tuple[Tensor, None]:
        return gradient, memory

    def mover(
        self, problem: Problem, step_size: float | Tensor, minibatches: Epochs | None
    ) -> Mover:
        if type(self) is not GradientDescent:
            return super().mover(problem, step_size, minibatches)
        return Stepper(problem, step_size, minibatches)


@dataclass(frozen=True)
class Momentum(Rule[Tensor]):
    """Heavy-ball momentum, ``U(t) = β U(t-1) + ∇L(W(t))``, as in ``torch.optim.SGD``; β
    in [0, 1).
    """

    beta: float

    in_span = True
    linear = True

    def __post_init__(self) -> None:
        wanted = "a number in [0, 1)"
        beta = number_between(self.beta, "beta", 0, 1, wanted, ends="[)")
        object.__setattr__(self, "beta", beta)

    @property
    def name(self) -> str:
        return f"heavy-ball momentum {self.beta:g}"

    def update(self, gradient: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        velocity = gradient if memory is None else memory.mul_(self.beta).add_(gradient)
        return velocity, velocity


@dataclass(frozen=True)
class SignDescent(Rule[None]):
    """``U(t) = sign ∇L(W(t))``, entry by entry: it depends on the basis and leaves the
    span.
    """

    name = "sign descent"

    def update(self, gradient: Tensor, memory: None) -> tuple[Tensor, None]:
        return gradient.sign_(), memory


PLAIN = GradientDescent()
"""The rule of :func:`~implicit_bias.training.descent.gradient_descent` where none is
named.
"""


def a_rule(value: object, argument: str = "rule") -> Rule:
    """Refuse what is no :class:`Rule`, has no ``update``, or bears the name of another."""
    if not isinstance(value, Rule):
        cure = ""
        if isinstance(value, type) and issubclass(value, Rule):
            cure = f" (make one: {value.__name__}(...))"
        fail(argument, f"a rule, such as ib.Momentum(0.9){cure}", shown(value))
    kind = type(value)
    if kind.update is Rule.update:
        fail(argument, "a class that defines update(gradient, memory)", kind.__name__)
    name = value.name
    if not isinstance(name, str) or not name:
        fail(argument, "a rule with a name", shown(name))
    if name in (DESCENT, FLOW) and kind is not GradientDescent:
        fail(argument, "a name of its own for a rule of one's own", shown(name))
    return value
