"""A step of the library against what a user would write instead.
``python benchmarks/steps.py``, about a minute.
"""

from __future__ import annotations

import time

import torch
from plain import LibraryLoop, PlainLoop, apart, header, race, row, slope

import implicit_bias as ib

GAMMA = 0.5
ACTIVATION = ib.leaky_relu(GAMMA)


def against_plain(
    n: int, d: int, m: int, dtype: torch.dtype, target: float, steps: int = 20
) -> None:
    """Full space, module, autograd and optimiser against the span: same start, compared
    after ``6 · steps`` steps.
    """
    data = ib.data.gaussian(n, d, seed=0, space="full").to(dtype)
    # A larger start than the theorems', for float32's sake: where most signs change in
    # the first steps, one rounded to the other side moves the weights by 4e-5. (The
    # plain loop errs there; the span has shorter sums to round.)
    net = ib.TwoLayer.init(data, m // 2, m // 2, ACTIVATION, scale=10 / d)
    step_size = 100 / d
    plain = PlainLoop(net, data, slope(GAMMA), step_size)
    library = LibraryLoop(net, data, step_size)
    race([plain, library], [steps, steps], rounds=1)
    theirs, ours = race([plain, library], [steps, steps])
    off = apart(plain.weights, library.weights), apart(plain.margins, library.margins)
    agree = max(off) < (1e-5 if dtype == torch.float32 else 1e-10)
    name = f"n={n}, d={d:,}, m={m}, {str(dtype).removeprefix('torch.')}"
    row(
        name, ours, theirs, target, "weights {:.0e}, margins {:.0e}".format(*off), agree
    )


def small_run(
    n: int, d: int, m: int, leaps: bool = True, **init: object
) -> LibraryLoop:
    """In the theorems' regime, sampled into the span: after a few steps no sign changes
    any more.
    """
    data = ib.data.gaussian(n, d, seed=0, space="span")
    return LibraryLoop(
        ib.TwoLayer.init(data, m // 2, m // 2, ACTIVATION, 1 / d, **init),
        data,
        10 / d,
        leaps,
    )


def against_dimension() -> None:
    """The same step at d = 10³ and d = 10¹⁰."""
    for leaps in (False, True):
        loops = [small_run(10, d, 64, leaps) for d in (10**3, 10**10)]
        race(loops, [2000, 2000], rounds=1)
        low, high = race(loops, [2000, 2000], rounds=9)
        row(
            f"n=10, m=64, {'leaping' if leaps else 'one by one'} (1/1.2 = 0.83)",
            high,
            low,
            0.83,
            "",
        )


def against_one_by_one() -> None:
    """Leaps against the same steps taken one by one."""
    for n, d, m in ((10, 10**10, 64), (100, 10**8, 512)):
        walking, leaping = loops = [
            small_run(n, d, m, leaps) for leaps in (False, True)
        ]
        race(loops, [1000, 1000], rounds=1)
        theirs, ours = race(loops, [1000, 1000])
        off = apart(walking.weights, leaping.weights)
        row(
            f"n={n}, d={d:,}, m={m}, float64",
            ours,
            theirs,
            None,
            f"weights {off:.0e}",
            off < 1e-12,
        )


def against_fused() -> None:
    """One small run, and 64 at once, against a compiled loop over scalars."""
    try:
        from fused import FusedLoop
    except ImportError:
        print("(numba is not installed: no comparison with a compiled loop)")
        return
    size = (10, 10**10, 64)
    seeds = list(range(64))
    one = [small_run(*size, leaps=False), small_run(*size)]
    many = [small_run(*size, leaps=False, seed=seeds), small_run(*size, seed=seeds)]
    problem = one[0].problem
    fused = FusedLoop(problem.net, problem.data, GAMMA, 10 / size[1])
    race([fused, *one], [1000] * 3, rounds=1)
    theirs, *ours = race([fused, *one, *many], [1000, 1000, 1000, 200, 200])
    expected = torch.from_numpy(fused.z)
    for name, loop, taken, target in zip(
        ("one by one", "leaping"), one, ours, (None, 0.5)
    ):
        off = apart(expected, loop.problem.span.preactivations(loop.state))
        row(
            f"n=10, d=10^10, m=64, {name}",
            taken,
            theirs,
            target,
            f"preactivations {off:.0e}",
            off < 1e-12,
        )
    for name, taken in zip(("one by one", "leaping"), ours[2:]):
        row(f"  64 seeds at once, {name}, for each", taken / 64, theirs, None, "")


def flow() -> None:
    """Gradient flow to a loss of e^{-10000}."""
    data = ib.data.gaussian(10, 2_000_000, seed=0)
    net = ib.TwoLayer.init(data, 24, 40, ACTIVATION, scale=1e-4)
    for until in (8.0, 1e4):
        start = time.process_time()
        run = ib.gradient_flow(net, data, until)
        seconds = time.process_time() - start
        verdict = "met" if seconds < 10 and run.outcome.ok else "MISSED"
        print(
            f"gradient flow to s = {until:g}: {seconds:.1f} s; target < 10 s: {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    began = time.perf_counter()
    header("plain torch", "library")
    for dtype in (torch.float32, torch.float64):
        against_plain(100, 10**4, 512, dtype, target=50)
        against_plain(10, 10**5, 64, dtype, target=150)
    header("d=1,000", "d=10^10")
    against_dimension()
    header("one by one", "leaping")
    against_one_by_one()
    header("fused loop", "library")
    against_fused()
    print()
    flow()
    print(
        f"\n{time.perf_counter() - began:.0f} s in all, one thread, torch "
        f"{torch.__version__}"
    )
