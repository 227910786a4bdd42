"""Feature matching prototype: any container, any number of images, settings by dotted path."""
import argparse, json, math, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from common import *
from hmnpack.matching import load_or_train_pool, partition_classes, FeatureMatching, Match, choose_targets, Reconstruction
from hmnpack.container import new_container
from hmnpack.container.images import Images
from hmnpack.condensing.adam import ContainerAdam
from hmnpack.runtime.ranks import ALONE
from hmnpack.settings import CompressSettings
from hmnpack.schema.container import ImagesSpec
from hmnpack.sources import normalisation_of
ap = argparse.ArgumentParser()
ap.add_argument("--tag", required=True); ap.add_argument("--set", action="append", default=[])
ap.add_argument("--kind", default="images"); ap.add_argument("--per", type=int, default=85)
ap.add_argument("--steps", type=int, default=2300); ap.add_argument("--lr", type=float, default=0.02)
ap.add_argument("--evals", type=int, default=1); ap.add_argument("--width", type=int, default=64)
a = ap.parse_args()
out = Path("out"); out.mkdir(exist_ok=True)
log = open(out / f"{a.tag}.log", "a")
def say(**k):
    line = json.dumps(k); print(line, flush=True); log.write(line + "\n"); log.flush()
say(args=vars(a))
src, seen, held = data()
config = CompressSettings("fast", None, [f"pool.network.width={a.width}", *a.set], {"seed": 0}).config(src.shape)
real = RealData(seen.images, seen.labels, 10, normalisation_of(src.train), seen.fingerprint)
pool = load_or_train_pool(real, config.pool, 0, Path("runs/pool"))
spec = ImagesSpec(classes=10, instances=a.per, image=src.shape.image)
parts = config.match.parts_of(a.per)
real = partition_classes(real, pool.trained(0), parts, a.per, 0)
targets = choose_targets(real, spec.counts, 0)
c = Images(spec, targets.float().div(255).contiguous())
say(start=score(c.expand().detach(), c.labels(), real, held, seeds=(0,))) if a.evals else None
obj = FeatureMatching(Match(real, pool, config.match, 0, ALONE, None))
adam = ContainerAdam(c, (0.9, 0.99), ALONE)
t0 = time.process_time(); tot = 0; 
for step in range(a.steps):
    adam.set_rate(a.lr * 0.5 * (1 + math.cos(math.pi * step / a.steps)))
    loss = obj.loss(c, step); adam.step(loss); tot += loss.item()
    if (step + 1) % 100 == 0: say(step=step + 1, loss=round(tot / 100, 4), min=round((time.process_time() - t0) / 60, 2)); tot = 0
torch.save({"pixels": c.pixels.data}, out / f"{a.tag}.pt")
im, lab = decode_all(c)
say(score=score(im, lab, real, held, seeds=(0, 1)))
