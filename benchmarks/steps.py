"""A step of the library against what a user would write instead. ``python benchmarks/steps.py``, about a minute."""

from __future__ import annotations

import time

import torch
from plain import LibraryLoop, PlainLoop, apart, header, race, row, slope

import implicit_bias as ib

GAMMA = 0.5


def against_plain(n: int, d: int, m: int, dtype: torch.dtype, steps: int, target: float) -> None:
    """Full space, module, autograd and optimiser against the span; the same start, then compared after ``6 · steps`` steps."""
    data = ib.data.gaussian(n, d, seed=0, space="full").to(dtype)
    net = ib.TwoLayer.init(data, m // 2, m // 2, ib.leaky_relu(GAMMA), scale=1 / d)
    step_size = 10 / d
    plain, library = PlainLoop(net, data, slope(GAMMA), step_size), LibraryLoop(net, data, step_size)
    loops = [plain, library]
    race(loops, [steps, steps], rounds=1)
    theirs, ours = race(loops, [steps, steps])
    off = apart(plain.weights, library.weights), apart(plain.margins, library.margins)
    bound = 1e-5 if dtype == torch.float32 else 1e-10
    name = f"n={n}, d={d:,}, m={m}, {str(dtype).removeprefix('torch.')}"
    row(name, ours, theirs, f">= {target:g}x", theirs >= target * ours and max(off) < bound, "{:.0e}, {:.0e}".format(*off))


def against_dimension(leaps: bool) -> None:
    """The same step at d = 10³ and d = 10¹⁰, both sampled into the span."""
    loops = []
    for d in (10**3, 10**10):
        data = ib.data.gaussian(10, d, seed=0, space="span")
        net = ib.TwoLayer.init(data, 32, 32, ib.leaky_relu(GAMMA), scale=1 / d)
        loops.append(LibraryLoop(net, data, 10 / d, leaps))
    race(loops, [2000, 2000], rounds=1)
    low, high = race(loops, [2000, 2000], rounds=9)
    name = f"n=10, m=64: d=1,000 against d=10,000,000,000{', leaping' if leaps else ''}"
    row(name, high, low, ">= 0.83x", high <= 1.2 * low, "-")


def against_fused() -> None:
    """One small run, and 64 at once, against a compiled loop over scalars."""
    try:
        from fused import FusedLoop
    except ImportError:
        print("(numba is not installed: no comparison with a compiled loop)")
        return
    d = 10**10
    data = ib.data.gaussian(10, d, seed=0)
    net = ib.TwoLayer.init(data, 32, 32, ib.leaky_relu(GAMMA), scale=1 / d)
    many = ib.TwoLayer.init(data, 32, 32, ib.leaky_relu(GAMMA), scale=1 / d, seed=list(range(64)))
    fused = FusedLoop(net, data, GAMMA, 10 / d)
    loops = [fused, LibraryLoop(net, data, 10 / d, leaps=False), LibraryLoop(net, data, 10 / d)]
    loops += [LibraryLoop(many, data, 10 / d, leaps=False), LibraryLoop(many, data, 10 / d)]
    steps = [2000, 2000, 2000, 200, 200]
    race(loops[:3], steps[:3], rounds=1)
    theirs, walking, leaping, walking_many, leaping_many = race(loops, steps)
    expected = torch.from_numpy(fused.z)
    for name, loop, ours in (("one by one", loops[1], walking), ("leaping", loops[2], leaping)):
        off = apart(expected, loop.problem.span.preactivations(loop.state))
        target, met = (">= 0.5x", theirs >= ours / 2) if name == "leaping" else ("-", True)
        row(f"n=10, d={d:,}, m=64, {name}", ours, theirs, target, met and off < 1e-12, f"{off:.0e} (preactivations)")
    row("  64 seeds at once, one by one, time for each", walking_many / 64, theirs, "-", True, "-")
    row("  64 seeds at once, leaping, time for each", leaping_many / 64, theirs, "-", True, "-")


def flow() -> None:
    """Gradient flow to a loss of e^{-10000}."""
    data = ib.data.gaussian(10, 2_000_000, seed=0)
    net = ib.TwoLayer.init(data, 24, 40, ib.leaky_relu(GAMMA), scale=1e-4)
    for until in (8.0, 1e4):
        start, wall = time.process_time(), time.perf_counter()
        run = ib.gradient_flow(net, data, until)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
        met = "met" if seconds < 10 and run.outcome.ok else "MISSED"
        print(f"gradient flow to s = {until:g}: {seconds:.1f} s of processor time ({wall:.1f} s by the clock); target < 10 s: {met}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    began = time.perf_counter()
    header("plain torch", "library")
    against_plain(100, 10**4, 512, torch.float32, steps=20, target=50)
    against_plain(100, 10**4, 512, torch.float64, steps=20, target=50)
    against_plain(10, 10**5, 64, torch.float32, steps=20, target=150)
    against_plain(10, 10**5, 64, torch.float64, steps=20, target=150)
    header("d=1,000", "d=10^10")
    against_dimension(leaps=False)
    against_dimension(leaps=True)
    header("fused loop", "library")
    against_fused()
    print()
    flow()
    print(f"\n{time.perf_counter() - began:.0f} s in all, one thread, torch {torch.__version__}")
