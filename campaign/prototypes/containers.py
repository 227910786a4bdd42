"""Prototype containers at equal floats, same objective. usage: containers.py TAG KIND key=value..."""
import json, math, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from common import *
from torch import nn
from hmnpack.matching import load_or_train_pool, partition_classes, FeatureMatching, Match, choose_targets
from hmnpack.settings import CompressSettings
from hmnpack.schema.container import ImagesSpec
from hmnpack.sources import normalisation_of
tag, kind = sys.argv[1:3]; o = dict(x.split("=", 1) for x in sys.argv[3:])
steps = int(o.pop("steps", 1000)); lr = float(o.pop("lr", 0.04)); warm = int(o.pop("warm", 300)); wlr = float(o.pop("wlr", 0.02))
BUDGET = int(o.pop("budget", 30720)); sets = [s for s in o.pop("set", "").split(";") if s]; seeds=tuple(range(int(o.pop("nets", 2)))); evsteps=int(o.pop("evsteps", 1500)); ex=int(o.pop("evals",0))
out = Path("out"); log = open(out / f"{tag}.log", "a")
def say(**k):
    line = json.dumps(k); print(line, flush=True); log.write(line + "\n"); log.flush()
say(kind=kind, args=sys.argv[3:])
src, seen, held = data()
K = 10; H = int(o.get("h", 1))
gen = torch.Generator().manual_seed(0)
def rn(*s, std=1.0): return nn.Parameter(torch.randn(*s, generator=gen) * std)
def ct(i, o_): return rn(i, o_, 4, 4, std=math.sqrt(2 / (4 * i)))
class Base(nn.Module):
    def finish(s, fixed, each):   # floats that are shared, floats each image
        s.per = (BUDGET - fixed) // (K * each); 
        s.spec = ImagesSpec(classes=K, instances=s.per, image=src.shape.image); s.fixed = fixed; s.each = each
        if "per" in o: s.per = int(o["per"]); s.spec = ImagesSpec(classes=K, instances=s.per, image=src.shape.image)
    def labels(s): return torch.arange(K * s.per) // s.per
class Norm(nn.Module):
    def __init__(s, c): super().__init__(); s.bn = nn.BatchNorm2d(c, momentum=None, track_running_stats=False); 
    def forward(s, x): return s.bn(x) if not hasattr(s, "fix") else x * s.fix[0] + s.fix[1]
class Hmn(Base):
    """grid g, channels d (data set), k (class), i (instance), decoder widths; fc: code length z instead of local memory"""
    def __init__(s):
        super().__init__()
        g = int(o.get("g", 4)); d = int(o.get("d", 5)); k = int(o.get("k", 3)); i = int(o.get("i", 2)); z = int(o.get("z", 0))
        w = [int(x) for x in o.get("w", "10,6").split(",")]
        s.z, s.g = z, g
        chans = [d + k + i, *w, 3]
        s.D = rn(d, g, g, std=.5); s.C = rn(K, k, g, g, std=.5)
        s.W = nn.ParameterList([ct(a, b) for a, b in zip(chans, chans[1:])]); s.B = nn.ParameterList([nn.Parameter(torch.zeros(b)) for b in chans[1:]])
        s.N = nn.ModuleList([Norm(b) for b in w])
        fixed = d * g * g + K * k * g * g + sum(p.numel() for p in [*s.W, *s.B]); each = i * g * g
        if H > 1: fixed += (H - 1) * d * g * g + (int(o.get('sc', 0)) and (H - 1) * K * k * g * g)
        if z: s.fc = rn(z, i * g * g, std=1 / math.sqrt(z)); fixed += s.fc.numel(); each = z
        s.finish(fixed, each)
        s.I = rn(K * s.per, each, std=.5)
        s.i = i
    def styles(s, h):
        """h data-set memories (and class memories, if sc=1), each instance is decoded through all"""
        s.h = h; noise = float(o.get("noise", .3))
        s.D = nn.Parameter(s.D.data[None].repeat(h, 1, 1, 1) + noise * torch.randn(h, *s.D.shape, generator=gen))
        if int(o.get("sc", 0)): s.C = nn.Parameter(s.C.data[:, None].repeat(1, h, 1, 1, 1) + noise * torch.randn(K, h, *s.C.shape[1:], generator=gen))
        s.one = s.per; s.per = s.per * h
        s.spec = ImagesSpec(classes=K, instances=s.per, image=src.shape.image)
    def expand(s, idx=None):
        if idx is None: idx = torch.arange(K * s.per)
        cls = idx // s.per
        if getattr(s, "h", 1) > 1:
            j = idx % s.per; inst, sty = j % s.one, j // s.one
            x = s.I.index_select(0, cls * s.one + inst); D = s.D.index_select(0, sty)
            Cc = s.C[cls, sty] if s.C.dim() == 5 else s.C.index_select(0, cls)
        else: x = s.I.index_select(0, idx); D = s.D.expand(len(x), -1, -1, -1); Cc = s.C.index_select(0, cls)
        if s.z: x = x @ s.fc
        x = x.view(-1, s.i, s.g, s.g); n = len(x)
        x = torch.cat([D, Cc, x], 1)
        for j, (w, b) in enumerate(zip(s.W, s.B)):
            x = F.conv_transpose2d(x, w, b, stride=2, padding=1)
            if j < len(s.N): x = F.gelu(s.N[j](x))
        return torch.sigmoid(x)
class Lin(Base):
    """z bases (of side r, per class means optionally) and codes; nonlinear: sigmoid out"""
    def __init__(s):
        super().__init__()
        z = int(o.get("z", 16)); r = int(o.get("r", 16)); s.r = r; s.cm = int(o.get("cm", 0))
        fixed = z * 3 * r * r + (3 * r * r * K if s.cm else 3*r*r)
        s.finish(fixed, z)
        x = F.adaptive_avg_pool2d(seen.images.float() / 255, r).flatten(1); mu = x.mean(0)
        cov = (x - mu).T @ (x - mu) / len(x); ev, V = torch.linalg.eigh(cov); P = V[:, -z:]   # [3rr, z]
        s.sc = ev[-z:].sqrt()
        s.M = nn.Parameter(mu.clone()); s.P0 = P
        s.P = nn.Parameter((P * s.sc).T.contiguous())   # codes have unit variance
        s.I = nn.Parameter(torch.zeros(K * s.per, z))
    def start(s, targets):
        with torch.no_grad():
            x = F.adaptive_avg_pool2d(targets.float() / 255, s.r).flatten(1) - s.M
            s.I.copy_(x @ s.P0 / s.sc)
    def expand(s, idx=None):
        if idx is None: idx = torch.arange(K * s.per)
        x = (s.I.index_select(0, idx) @ s.P + s.M).view(-1, 3, s.r, s.r)
        return F.interpolate(x, 32, mode="bilinear").clamp(0, 1) if s.r != 32 else x.clamp(0, 1)
class Mf(Base):
    """f x f tiles of canvases: images of side 32 / f, bilinear"""
    def __init__(s):
        super().__init__(); s.f = int(o.get("f", 2)); r = 32 // s.f; s.r = r
        s.finish(0, 3 * r * r); s.I = nn.Parameter(torch.zeros(K * s.per, 3, r, r))
    def start(s, targets):
        with torch.no_grad(): s.I.copy_(F.adaptive_avg_pool2d(targets.float() / 255, s.r))
    def expand(s, idx=None):
        if idx is None: idx = torch.arange(K * s.per)
        return F.interpolate(s.I.index_select(0, idx), 32, mode="bilinear").clamp(0, 1)
c = {"hmn": Hmn, "lin": Lin, "mf": Mf}[kind]()
say(per=c.per, fixed=c.fixed, each=c.each, floats=c.fixed + K * c.per * c.each)
config = CompressSettings("fast", None, ["pool.network.width=64", *sets], {"seed": 0}).config(src.shape)
real = RealData(seen.images, seen.labels, 10, normalisation_of(src.train), seen.fingerprint)
pool = load_or_train_pool(real, config.pool, 0, Path("runs/pool"))
parts = config.match.parts_of(c.per * H)
real = partition_classes(real, pool.trained(0), parts, c.per * H, 0)
targets = choose_targets(real, c.spec.counts, 0)
if hasattr(c, "start"): c.start(targets); warm = 0
params = list(c.parameters())
T = targets.float() / 255
opt = torch.optim.Adam(params, betas=(0.9, 0.99)); t0 = time.process_time()
for s in range(warm):
    rows = torch.randperm(len(T), generator=torch.Generator().manual_seed(s))[:512]
    for g in opt.param_groups: g["lr"] = wlr * .5 * (1 + math.cos(math.pi * s / warm))
    l = F.mse_loss(c.expand(rows), T[rows]); opt.zero_grad(); l.backward(); opt.step()
with torch.no_grad(): say(warm_mse=round(F.mse_loss(c.expand(), T).item(), 5), min=round((time.process_time() - t0) / 60, 2))
if kind == "hmn":   # fix the norms
    with torch.no_grad():
        idx = torch.arange(K * c.per); x = c.I.index_select(0, idx); x = x @ c.fc if c.z else x
        x = x.view(-1, c.i, c.g, c.g); x = torch.cat([c.D.expand(len(x), -1, -1, -1), c.C.index_select(0, idx // c.per), x], 1)
        for j, (w, b) in enumerate(zip(c.W, c.B)):
            x = F.conv_transpose2d(x, w, b, stride=2, padding=1)
            if j < len(c.N):
                m = x.mean((0, 2, 3)); v = x.var((0, 2, 3), unbiased=False); bn = c.N[j].bn
                sc = bn.weight / (v + 1e-5).sqrt(); sh = bn.bias - m * sc
                c.W[j].data *= sc.view(1, -1, 1, 1); c.B[j].data.mul_(sc).add_(sh)
                x = F.gelu(x * sc.view(1, -1, 1, 1) + sh.view(1, -1, 1, 1))
        c.N = nn.ModuleList([nn.Identity() for _ in c.N])
        say(frozen_mse=round(F.mse_loss(c.expand(), T).item(), 5))
        if H > 1: c.styles(H)
        params = list(c.parameters())
if not steps: say(score=score(c.expand().detach(), c.labels(), real, held, seeds=seeds[:1], steps=evsteps)); sys.exit()
opt = torch.optim.Adam(params, betas=(0.9, 0.99)); t0 = time.process_time(); tot = 0
obj = FeatureMatching(Match(real, pool, config.match, 0))
for s in range(steps):
    for g in opt.param_groups: g["lr"] = lr * .5 * (1 + math.cos(math.pi * s / steps))
    l = obj.loss(c, s); opt.zero_grad(); l.backward(); opt.step(); tot += l.item()
    if (s + 1) % 100 == 0: say(step=s + 1, loss=round(tot / 100, 4), min=round((time.process_time() - t0) / 60, 2)); tot = 0
    if ex and (s+1)%ex==0 and s+1<steps: say(score=score(c.expand().detach(), c.labels(), real, held, seeds=seeds, steps=evsteps))
torch.save(c.state_dict(), out / f"{tag}.pt")
say(score=score(c.expand().detach(), c.labels(), real, held, seeds=seeds, steps=evsteps))
