import os, sys, time, json, math
from pathlib import Path
import torch, torch.nn.functional as F
from hmnpack.bundle import read
from hmnpack.container import container_of, HMN
from hmnpack.augment import draw, apply, normalise, cutmix
from hmnpack.matching.data import RealData
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.sources import open_source, SourceOptions, seen_and_held_out
from hmnpack.training import train, accuracy
torch.set_num_threads(1)
AUG = ("flip","brightness","saturation","contrast","crop","scale","rotate","cutout")

def data(path="data/c10", holdout=0.1, seed=0):
    src = open_source(path, SourceOptions())
    seen, held = seen_and_held_out(src.train, holdout, seed)
    return src, seen, held

def real_of(seen, classes=10):
    im = seen.images
    x = im.float().div(255)
    from hmnpack.schema.manifest import Normalisation
    mean = tuple(x.mean((0,2,3)).tolist()); std = tuple(x.std((0,2,3)).tolist())
    return RealData(im, seen.labels.long(), classes, Normalisation(mean=mean, std=std), "proto")

def load(path):
    b = read(path)
    c = container_of(b.manifest.container, b.tensors)
    for p in c.parameters(): p.requires_grad_(True)
    return b, c

def net(real, width, gen, depth=3):
    return build_network(NetworkConfig(width=width, depth=depth), classes=real.classes, image=real.shape, generator=gen)

def decode_all(c):
    with torch.no_grad(): return c.expand(), c.labels()

def score(images, labels, real, held, width=64, steps=1500, batch=128, seeds=(0,1), log=None):
    out=[]
    for s in seeds:
        n = net(real, width, stream(s, "eval"))
        t=time.process_time()
        train(n, images, labels, TrainConfig(epochs=0, batch=batch, weight_decay=0.0002), normalisation=real.normalisation, seed=s, name="eval", min_steps=steps)
        n.eval()
        a = accuracy(n, held.images, held.labels.long(), normalisation=real.normalisation)
        out.append(round(float(a),2))
    return out
