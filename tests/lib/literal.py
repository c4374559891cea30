"""Slow, literal twins of the fast routines: loops, autograd, the full space, general
solvers.

They share no code with the library.
"""

import itertools
import math

import mpmath
import numpy as np
import scipy.optimize
import torch


class Kinked(torch.autograd.Function):
    """``max(z, γz)`` whose derivative at 0 is 1."""

    @staticmethod
    def forward(ctx, z, gamma):
        ctx.save_for_backward(z, gamma)
        return torch.where(z >= 0, z, gamma * z)

    @staticmethod
    def backward(ctx, grad):
        z, gamma = ctx.saved_tensors
        return torch.where(z >= 0, grad, gamma * grad), None


FUNCTIONS = {
    "squared_relu": lambda z: torch.relu(z) ** 2,
    "gelu": torch.nn.functional.gelu,
    "tanh": torch.tanh,
}
"""Activations without a leak, as torch has them."""


class Net(torch.nn.Module):
    """One hidden layer, as a user would write it; only the first layer is trained."""

    def __init__(self, weights, a, name, gamma):
        super().__init__()
        self.W = torch.nn.Parameter(weights.clone())
        self.a = a
        self.name = name
        self.gamma = torch.as_tensor(gamma, dtype=weights.dtype)

    def forward(self, x):
        z = x @ self.W.T
        if self.name in FUNCTIONS:
            hidden = FUNCTIONS[self.name](z)
        elif self.name == "smoothed_leaky_relu":
            hidden = self.gamma * z + (1 - self.gamma) * (
                torch.logaddexp(z, torch.zeros_like(z)) - math.log(2)
            )
        else:
            hidden = Kinked.apply(z, self.gamma)
        return hidden @ self.a


def mean_loss(q, loss):
    values = (
        torch.exp(-q)
        if loss == "exponential"
        else torch.logaddexp(-q, torch.zeros_like(q))
    )
    return values.mean()


def autograd_descent(weights, a, name, gamma, x, y, step_size, steps, loss="logistic"):
    """The weights at steps 0, 1, ..., ``steps``, by autograd in the full space."""
    net = Net(weights, a, name, gamma)
    seen = [weights.clone()]
    for _ in range(steps):
        net.zero_grad()
        mean_loss(y * net(x), loss).backward()
        with torch.no_grad():
            net.W -= step_size * net.W.grad
        seen.append(net.W.detach().clone())
    return seen


def phi(z, name, gamma):
    if name == "smoothed_leaky_relu":
        return gamma * z + (1 - gamma) * (
            max(z, 0.0) + math.log1p(math.exp(-abs(z))) - math.log(2)
        )
    return z if z >= 0 else gamma * z


def phi_slope(z, name, gamma):
    if name == "smoothed_leaky_relu":
        return gamma + (1 - gamma) / (1 + math.exp(-z))
    return 1.0 if z >= 0 else gamma


def loop_gradient(weights, a, name, gamma, x, y, loss="logistic"):
    """``∇L`` neuron by neuron, sample by sample, coordinate by coordinate, in Python
    floats.
    """
    W = weights.tolist()
    a = a.tolist()
    X = x.tolist()
    Y = y.tolist()
    total = [[0.0] * len(X[0]) for _ in W]
    for xi, yi in zip(X, Y):
        z = [sum(w * c for w, c in zip(row, xi)) for row in W]
        q = yi * sum(aj * phi(zj, name, gamma) for aj, zj in zip(a, z))
        g = math.exp(-q) if loss == "exponential" else 1 / (1 + math.exp(q))
        for j, (aj, zj) in enumerate(zip(a, z)):
            for k, c in enumerate(xi):
                total[j][k] -= aj * phi_slope(zj, name, gamma) * yi * g * c / len(X)
    return torch.tensor(total, dtype=torch.float64)


def flow_in_plain_time(weights, a, name, gamma, x, y, steps, dt, loss="logistic"):
    """``(log L, log t, W)`` after ``steps`` classical Runge-Kutta steps of length
    ``dt`` of ``dW/dt = -∇L``.
    """

    def velocity(W):
        net = Net(W, a, name, gamma)
        mean_loss(y * net(x), loss).backward()
        return -net.W.grad

    W = weights.clone()
    for _ in range(steps):
        k1 = velocity(W)
        k2 = velocity(W + dt / 2 * k1)
        k3 = velocity(W + dt / 2 * k2)
        k4 = velocity(W + dt * k3)
        W = W + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    log_loss = mean_loss(y * Net(W, a, name, gamma)(x), loss).log().item()
    return log_loss, math.log(steps * dt), W


def stable_rank(weights):
    values = np.linalg.svd(weights.numpy(), compute_uv=False)
    return float((values**2).sum() / values[0] ** 2)


def mp_loss(q, name):
    """(ℓ, log ℓ, g, log g) at 60 digits."""
    with mpmath.workdps(60):
        q = mpmath.mpf(q)
        small = mpmath.exp(-q)
        # 60 digits do not hold 1 + e^{-10^4}; log1p does.
        value, g = (
            (small, small)
            if name == "exponential"
            else (mpmath.log1p(small), small / (1 + small))
        )
        return tuple(v for v in (value, mpmath.log(value), g, mpmath.log(g)))


def least_norm(A):
    """``argmin ‖c‖`` subject to ``Ac ≥ 1``, None if infeasible, by trying every set of
    tight constraints.

    The minimiser is the least-norm point of the face it lies on, so it is among the
    candidates; no feasible one is shorter.
    """
    best = None
    for size in range(1, min(A.shape) + 1):
        for tight in itertools.combinations(range(len(A)), size):
            c = np.linalg.lstsq(A[list(tight)], np.ones(size), rcond=None)[0]
            if (A @ c >= 1 - 1e-9).all() and (best is None or c @ c < best @ best):
                best = c
    return best


def qp3(x, y, m_pos, m_neg, gamma):
    """(v, u) of QP (3), from its own words; None if infeasible."""
    x = x.numpy()
    y = y.numpy()
    d = x.shape[1]
    m = m_pos + m_neg
    p = m_pos / math.sqrt(m)
    q = m_neg / math.sqrt(m)
    rows = [
        np.concatenate([p * xi, -gamma * q * xi])
        if yi > 0
        else np.concatenate([-gamma * p * xi, q * xi])
        for xi, yi in zip(x, y)
    ]
    weight = np.sqrt(
        np.concatenate([np.full(d, float(m_pos)), np.full(d, float(m_neg))])
    )
    c = least_norm(np.array(rows) / weight)
    return (
        None
        if c is None
        else (
            torch.from_numpy(c[:d] / weight[:d]),
            torch.from_numpy(c[d:] / weight[d:]),
        )
    )


def hard_margin(x, y):
    """``argmin ‖z‖`` subject to ``y_i⟨z, x_i⟩ ≥ 1``; None where the data cannot be
    separated.
    """
    z = least_norm((y.unsqueeze(-1) * x).numpy())
    return None if z is None else torch.from_numpy(z)


def kkt_distance(weights, a, gamma, x, y, kink=1e-9):
    """``min ‖W - Σ_ij λ_i φ'_ij y_i a_j e_j x_iᵀ‖_F`` over λ ≥ 0 and admissible slopes,
    as one cone of columns.

    A sample whose ``k`` neurons sit at a kink brings a column for each of the ``2^k``
    choices of their slopes: the convex hull of the vertices is the box, and
    non-negative weights make it the cone.
    """
    W = weights.numpy()
    a = a.numpy()
    X = x.numpy()
    Y = y.numpy()
    columns = []
    for xi, yi in zip(X, Y):
        z = W @ xi
        loose = [
            j
            for j in range(len(W))
            if abs(z[j]) <= kink * np.linalg.norm(W[j]) * np.linalg.norm(xi)
        ]
        for choice in itertools.product([gamma, 1.0], repeat=len(loose)):
            slope = np.where(z > 0, 1.0, gamma)
            slope[loose] = choice
            columns.append((slope * a)[:, None] * yi * xi[None, :])
    matrix = np.stack([c.ravel() for c in columns], axis=1)
    solved = scipy.optimize.lsq_linear(
        matrix, W.ravel(), bounds=(0, np.inf), method="bvls", tol=1e-14, max_iter=2000
    )
    return float(np.linalg.norm(matrix @ solved.x - W.ravel()))
