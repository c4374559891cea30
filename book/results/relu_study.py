"""Every switch of every (neuron, sample) pair in 10^6 steps of descent on ReLU
networks. Writes relu_study.json.

    python book/results/relu_study.py

Five kinds of data that meet H-K4.3 with C = 40: ten unit samples with all correlations
±p, their label-signed versions agreeing, opposing, equal or random, and Gaussian
samples. Six starts of 60 + 60 neurons each, the first six seeds whose draw meets the
theorem's condition on awake neurons; random and Gaussian data are drawn anew with each.
Nothing is sampled in time: patterns are compared at every step. About ten minutes on
one core.
"""

import datetime
import json
import sys
import time
from pathlib import Path

import torch

import implicit_bias as ib
from implicit_bias.measures.outputs import own_class
from implicit_bias.theorems.kou2023.relu_limit import limit_of_late_net
from implicit_bias.theorems.kou2023.relu_setting import SHARE
from implicit_bias.theorems.setting import active_shares

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import files  # noqa: E402

N = 10
M = 60
P = 0.0024
D = 4_000_000
STEP = 1.0
SCALE = 1e-4
RUNS = 6
KINDS = ["agree", "oppose", "equal", "random", "gaussian"]
EDGES = [0, 10, 100, 1000, 10_000, 100_000, 1_000_000]


def sample(kind, seed):
    """Unit samples of a kind (Gaussian ones divided by √d)."""
    if kind == "gaussian":
        drawn = ib.data.gaussian(N, D, seed=seed, space="span")
        return ib.Dataset(drawn.x / D**0.5, drawn.y)
    return ib.data.correlated(N, p=P, signs=kind, seed=seed)


def starts(kind):
    """``(seed, data, net)`` of the first runs that the theorem covers."""
    found = []
    seed = 0
    while len(found) < RUNS:
        data = sample(kind, seed)
        net = ib.TwoLayer.init(data, M, M, ib.relu(), SCALE, output="1/m", seed=seed)
        if float(active_shares(net, data).min()) >= SHARE:
            found.append((seed, data, net))
        seed += 1
    return found


def every_switch(data, net, edges):
    """Descent step by step on a batch: states ``c`` with
    ``w_j = w_j(0) + Σ_i c_ji x_i`` at the edges, switches (b, m, n) of every pair
    between them, the last step at which each pair switched, and log L at the edges.
    """
    gram = data.gram
    y = data.y.unsqueeze(-2)
    a = net.a.unsqueeze(-1)
    start = net.preactivations(data.x)
    signed_step = STEP / data.n * data.y.unsqueeze(-2)
    state = torch.zeros_like(start)
    awake = start >= 0
    last = torch.zeros_like(start)
    count = torch.zeros_like(start, dtype=torch.int32)
    states = []
    counts = []
    losses = []
    for step in range(edges[-1] + 1):
        z = torch.baddbmm(start, state, gram)
        now = z >= 0
        changed = now ^ awake
        count += changed
        last.masked_fill_(changed, step)
        awake = now
        slopes = now * a
        p = (slopes * z).sum(-2, keepdim=True) * -y
        if step in edges:
            states.append(state.clone())
            counts.append(count)
            losses.append(torch.nn.functional.softplus(p).mean((-2, -1)).log())
            count = torch.zeros_like(count)
        state.addcmul_(slopes, p.sigmoid() * signed_step)
    return torch.stack(states), torch.stack(counts), last, torch.stack(losses)


def rows(kind, edges=EDGES):
    """What is kept of the runs of one kind."""
    found = starts(kind)
    data = ib.Dataset(
        torch.stack([d.x for _, d, _ in found]), torch.stack([d.y for _, d, _ in found])
    )
    net = ib.TwoLayer(
        torch.stack([w.weights for _, _, w in found]), found[0][2].a, ib.relu()
    )
    states, counts, last, losses = every_switch(data, net, edges)
    out = []
    for b, (seed, one, start) in enumerate(found):
        own = own_class(start, one)
        alive = (own & (start.preactivations(one.x) >= 0)).any(-1, keepdim=True)
        weights = start.weights + states[:, b] @ one.x
        ranks = [
            ib.measures.class_stable_rank(ib.TwoLayer(w, start.a, ib.relu())).tolist()
            for w in weights
        ]
        limit, share = limit_of_late_net(
            ib.TwoLayer(weights[-1], start.a, ib.relu()), one
        )
        ahead = share > 1e-6
        late = counts[-1, b] > 0
        moved = ib.TwoLayer(weights[-1] - weights[-2], start.a, ib.relu())
        out.append(
            {
                "kind": kind,
                "seed": seed,
                "slack": float(
                    ib.hypotheses.data_conditions(one, 1.0, 40.0)["H-K4.3"].slack
                ),
                "share": float(active_shares(start, one).min()),
                "own pairs": int(own.sum()),
                "other pairs": int((~own).sum()),
                "living other pairs": int((~own & alive).sum()),
                "own switches": [int(c[b][own].sum()) for c in counts],
                "other switches": [int(c[b][~own].sum()) for c in counts],
                "own pairs switching": [int((c[b][own] > 0).sum()) for c in counts],
                "other pairs switching": [int((c[b][~own] > 0).sum()) for c in counts],
                "living other pairs switching": int((late & ~own & alive).sum()),
                "most switches of an own pair": int(counts[:, b][:, own].sum(0).max()),
                "most switches of any pair": int(counts[:, b].sum(0).max()),
                "last own switch": int(last[b][own].max()),
                "once on, always on": bool(
                    (
                        counts[:, b].sum(0) * own * (start.preactivations(one.x) >= 0)
                    ).sum()
                    == 0
                ),
                "ranks": ranks,
                "log loss": losses[:, b].tolist(),
                "limit ranks": ib.measures.class_stable_rank(limit).tolist(),
                "limit kkt": float(ib.kkt_residual(limit, one).worst),
                "distance of the last decade's move": float(
                    ib.measures.direction_distance(moved, limit)
                ),
                "pairs at a kink of the limit": int(ahead.sum()),
                "of these switching": int((ahead & late).sum()),
                "switches a step": float(counts[-1, b].sum()) / (edges[-1] - edges[-2]),
                "switches a step at the limit": float(2 * share.sum()),
            }
        )
    return out


def main():
    torch.set_num_threads(1)
    begin = time.perf_counter()
    table = []
    for kind in KINDS:
        table += rows(kind)
        print(f"{kind}: {time.perf_counter() - begin:.0f} s", flush=True)
    about = {
        "made by": "book/results/relu_study.py",
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - begin),
        "threads": 1,
        "torch": torch.__version__,
    }
    setting = {
        "n": N,
        "m": M,
        "p": P,
        "d": D,
        "step": STEP,
        "scale": SCALE,
        "runs": RUNS,
        "edges": EDGES,
    }
    path = Path(__file__).parents[2] / "lib/implicit_bias/results/relu_study.json"
    stored = {
        "about": about,
        "setting": setting,
        "rows": [rounded(row) for row in table],
    }
    files.write(path, json.dumps(stored, ensure_ascii=False))
    print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


def rounded(value):
    """Six significant digits, so that the file stays small."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
