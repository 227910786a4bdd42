"""Finish a bundle: KRR (or other) loss on features of networks trained on the synthetic set."""
import argparse, copy, json, math, time, sys
sys.path.insert(0, os.path.dirname(__file__))
from common import *
ap = argparse.ArgumentParser()
ap.add_argument("--base", required=True); ap.add_argument("--tag", required=True)
ap.add_argument("--loss", default="krr"); ap.add_argument("--ce", type=int, default=0)
ap.add_argument("--temp", type=float, default=0.1)
ap.add_argument("--lr", type=float, default=0.002); ap.add_argument("--lam", type=float, default=1e-3)
ap.add_argument("--width", type=int, default=64); ap.add_argument("--pool", type=int, default=8)
ap.add_argument("--age", type=int, default=800); ap.add_argument("--steps", type=int, default=1500)
ap.add_argument("--real", type=int, default=384); ap.add_argument("--minutes", type=float, default=40)
ap.add_argument("--inner", type=int, default=2); ap.add_argument("--evalevery", type=int, default=500)
ap.add_argument("--seed", type=int, default=0); ap.add_argument("--siamese", type=int, default=0)
ap.add_argument("--syn", type=int, default=0, help="images per class each step; 0: all")
a = ap.parse_args()
src, seen, held = data(); real = real_of(seen)
b, c = load(a.base)
K = real.classes; N = c.spec.images; per = N // K
labels = c.labels()
out = Path("out"); out.mkdir(exist_ok=True)
log = open(out / f"{a.tag}.log", "a")
def say(**k):
    line = json.dumps(k); print(line, flush=True); log.write(line + "\n"); log.flush()
say(args=vars(a))
gen = torch.Generator().manual_seed(a.seed + 1000)
mem = [p for n_, p in c.named_parameters()]
opt = torch.optim.Adam(mem, lr=a.lr, betas=(0.9, 0.99))
cfg = TrainConfig(epochs=0, batch=128, weight_decay=0.0002)
class Student:
    def __init__(s, i): s.i = i; s.gen = 0; s.reset(first=True)
    def reset(s, first=False):
        s.gen += 1
        s.n = net(real, a.width, torch.Generator().manual_seed(hash((a.seed, s.i, s.gen)) % 2**31))
        s.opt = torch.optim.SGD(s.n.parameters(), lr=0.01, momentum=0.9, weight_decay=2e-4)
        s.age = 0
        s.target = int(torch.randint(a.age // 2, a.age + 1, (), generator=gen))
    def train(s, images, steps):
        s.n.train()
        for p in s.n.parameters(): p.requires_grad_(True)
        for _ in range(steps):
            rows = torch.randperm(len(images), generator=gen)[:128]
            x = normalise(images[rows], real.normalisation); y = labels[rows]
            x = apply(x, draw(AUG, len(rows), gen, one_spatial=True))
            if float(torch.rand((), generator=gen)) < 0.5:
                lam = float(torch.distributions.Beta(1., 1.).sample()); perm = torch.randperm(len(rows), generator=gen)
                h = int(32 * math.sqrt(1 - lam)); cy, cx = torch.randint(0, 32, (2,), generator=gen).tolist()
                y0, y1, x0, x1 = max(cy - h // 2, 0), min(cy + h // 2, 32), max(cx - h // 2, 0), min(cx + h // 2, 32)
                m = 1 - (y1 - y0) * (x1 - x0) / 1024
                x = x.clone(); x[:, :, y0:y1, x0:x1] = x[perm, :, y0:y1, x0:x1]
            else: m, perm = 1.0, torch.arange(len(rows))
            with torch.autocast("cpu", torch.bfloat16): z = s.n(x)
            z = z.float(); l = m * F.cross_entropy(z, y) + (1 - m) * F.cross_entropy(z, y[perm])
            s.opt.zero_grad(); l.backward(); s.opt.step(); s.age += 1
        if s.age >= s.target: s.reset()
        return
students = [Student(i) for i in range(a.pool)]
images, _ = decode_all(c)
t0 = time.process_time()
for i, s in enumerate(students):   # stagger the ages
    start = int(s.target * i / a.pool); s.train(images, start)
say(prepared=round((time.process_time() - t0) / 60, 2), ages=[s.age for s in students])
def feats(n, x):
    with torch.autocast("cpu", torch.bfloat16): return n.features(x)[-1].flatten(1).float()
lossavg = acc = 0.0; cnt = 0; t0 = time.process_time()
if a.evalevery and not (out / "base.json").exists(): pass
best = None
for step in range(a.steps):
    lr = a.lr * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / a.steps))
    for g in opt.param_groups: g["lr"] = lr
    s = students[int(torch.randint(a.pool, (), generator=gen))]
    s.n.eval()
    for p in s.n.parameters(): p.requires_grad_(False)
    if a.syn and a.syn < per:
        rows = torch.cat([k * per + torch.randperm(per, generator=gen)[: a.syn] for k in range(K)])
    else: rows = torch.arange(N)
    y = labels[rows]
    imgs = c.expand(rows)
    x = normalise(imgs, real.normalisation)
    x = apply(x, draw(AUG, len(rows), gen, one_spatial=True))
    fs = torch.cat([feats(s.n, q) for q in x.split(170)])
    rr = torch.randint(len(real.labels), (a.real,), generator=gen)
    xr = apply(real.normalised(rr), draw(("flip", "crop"), len(rr), gen)); yr = real.labels[rr]
    with torch.no_grad(): fr = torch.cat([feats(s.n, q) for q in xr.split(170)])
    if a.loss == "krr":
        D = fs.shape[1]
        Kss = (fs @ fs.T).double() / D; Krs = (fr @ fs.T).double() / D
        Y = F.one_hot(y, K).double() - 1 / K
        reg = a.lam * Kss.diagonal().mean().detach()
        al = torch.linalg.solve(Kss + reg * torch.eye(len(y), dtype=torch.double), Y)
        p = (Krs @ al).float()
        if a.ce: loss = F.cross_entropy(p / a.temp, yr)
        else: loss = 0.5 * ((p - (F.one_hot(yr, K).float() - 1 / K)) ** 2).sum(1).mean()
        ac = (p.argmax(1) == yr).float().mean().item()
    opt.zero_grad(); loss.backward(); opt.step()
    lossavg += loss.item(); acc += ac; cnt += 1
    with torch.no_grad(): images = imgs.detach() if not a.syn else c.expand()
    s.train(images, a.inner)
    if (step + 1) % 50 == 0:
        say(step=step + 1, loss=round(lossavg / cnt, 4), acc=round(100 * acc / cnt, 2), min=round((time.process_time() - t0) / 60, 2)); lossavg = acc = 0.0; cnt = 0
    if a.evalevery and (step + 1) % a.evalevery == 0 or step + 1 == a.steps:
        torch.save({"step": step + 1, "container": c.state_dict()}, out / f"{a.tag}.pt")
        im, lab = decode_all(c); te = time.process_time()
        say(step=step + 1, score=score(im, lab, real, held, seeds=(0, 1)), eval_min=round((time.process_time() - te) / 60, 2))
        t0 += time.process_time() - te
