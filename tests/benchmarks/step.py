"""One inner step of gradient matching: ours against a literal loop over classes.

The paper's recipe on CIFAR-10 at 1 IPC: 64 real and 85 synthetic images for each of 10 classes, the
container's Adam steps, and 2,000 training images for the network. The literal step
(`tests/matching/literal.py`) uses library calls only: for each class it computes real gradients,
synthetic gradients, `loss.backward()` and an Adam step; then it trains the network. Both decode
with the same container. Repeats of both alternate.

`ratio_fp32` and `ratio_bf16` are the time of the literal step in float32 over ours in either
precision; `ratio_bf16_alike` uses bfloat16 for both. On a device without native bfloat16 these two
are absent, and `bf16` says so. Parts of the literal step are timed in a separate step. Ours are
differences to a step without training and to one with a single synthetic image per class.

FLOPs count the convolutions that the gradients need; `part_of_product_*` is their rate over that
of a large matrix product in the same precision.
"""

import time
from statistics import median

import torch
from harness import parser, report
from step_parts.setting import CLASSES, IMAGE, REAL, TRAINING, Setting, setting_of
from step_parts.steps import Decode, Literal, NoWatch, Ours, Product, Runner, Watch

from hmnpack.container import HMN
from hmnpack.container.cost import decode_flops
from hmnpack.networks.convnet import ConvNet
from hmnpack.runtime.devices import choose_device, multiplies_bfloat16, wait_for
from hmnpack.schema.config import Precision
from hmnpack.schema.result import Figure

PARTS = ("real", "synthetic", "decode", "training")
SHORT: dict[Precision, str] = {"float32": "fp32", "bfloat16": "bf16"}


def runners(setting: Setting, precision: Precision) -> dict[str, Runner]:
    """Return the timed variants at a precision, by name."""
    config = setting.config(precision)
    still = config.model_copy(update={"train_images": 0})
    return {
        "product": Product(setting.data.device, precision),
        "literal": Literal(setting, precision),
        "ours": Ours(setting, config),
        "ours_matching": Ours(setting, still),
        "ours_real": Ours(setting, still.model_copy(update={"synthetic_batch": 1})),
        "decode": Decode(setting),
    }


def timed(every: dict[str, Runner], repeats: int, device: torch.device) -> dict[str, float]:
    """Return each runner's median seconds per step, alternating, after one warm-up step each."""
    taken: dict[str, list[float]] = {name: [] for name in every}
    for step in range(1 + repeats):
        for name, run in every.items():
            wait_for(device)
            begun = time.perf_counter()
            run(step, NoWatch())
            wait_for(device)
            taken[name].append(time.perf_counter() - begun)
    return {name: median(values[1:]) for name, values in taken.items()}


def flops(network: ConvNet, container: HMN) -> dict[str, float]:
    """Return the FLOPs of a step's parts, counting only what the gradients need.

    Let F be the FLOPs of one image's convolutions and G those of the first one. Forward pass: F;
    weight gradients: F; gradients of feature maps: F - G. Second derivatives: forward pass F,
    backward pass 2F - G, and backward through both: 2F from the weight gradients, F - G from the
    map gradients, F to the images. The classifier is neglected (a thousandth).
    """
    layers, side = [], IMAGE.height
    for block in network.blocks:
        weight = block.conv.weight
        layers.append(2.0 * weight.numel() * side**2)
        side //= 2
    forward, first = sum(layers), layers[0]
    once, twice = 3 * forward - first, 7 * forward - 2 * first
    spec = container.spec
    return {
        "real": CLASSES * REAL * once,
        "synthetic": spec.images * twice,
        "decode": 3.0 * decode_flops(spec, spec.images),
        "training": TRAINING * once,
    }


def own_parts(seconds: dict[str, float]) -> dict[str, float]:
    """Return our parts as differences of partial steps; noise can make one negative."""
    matching = seconds["ours_matching"] - seconds["decode"]
    real = min(seconds["ours_real"], matching)
    return {
        "real": real,
        "synthetic": matching - real,
        "decode": seconds["decode"],
        "training": seconds["ours"] - seconds["ours_matching"],
    }


def figures_of(
    setting: Setting, precision: Precision, repeats: int
) -> tuple[dict[str, float], dict[str, Figure]]:
    """Return the seconds of every runner at a precision, and the metrics of the parts."""
    every, short = runners(setting, precision), SHORT[precision]
    seconds = timed(every, repeats, setting.data.device)
    watch = Watch(setting.data.device)
    every["literal"](1 + repeats, watch)
    work = flops(setting.network(), setting.container())
    product = every["product"]
    assert isinstance(product, Product)
    limit = 2 * product.side**3 / seconds["product"]
    figures: dict[str, Figure] = {f"gflops_matrix_product_{short}": limit / 1e9}
    for who, parts in (("literal", watch.seconds), ("ours", own_parts(seconds))):
        figures[f"seconds_{who}_{short}"] = seconds[who]
        achieved = sum(work.values()) / seconds[who] / limit
        figures[f"part_of_product_{who}_{short}"] = achieved
        for part in PARTS:
            figures[f"seconds_{who}_{short}_{part}"] = parts[part]
            if parts[part] > 0:
                rate = work[part] / parts[part]
                figures[f"part_of_product_{who}_{short}_{part}"] = rate / limit
    return seconds, figures


def main() -> None:
    """Measure and report."""
    options = parser()
    options.add_argument("--width", type=int, default=128, help="network width (channels)")
    options.add_argument("--repeats", type=int, default=3, help="timed steps per variant")
    args = options.parse_args()
    device = choose_device(args.device)
    # The matrix product must have the same limit as the convolutions, which may use TF32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    setting = setting_of(args.data, args.width, device)
    plain, figures = figures_of(setting, "float32", args.repeats)
    ratios: dict[str, Figure] = {"ratio_fp32": plain["literal"] / plain["ours"]}
    if multiplies_bfloat16(device):
        short, more = figures_of(setting, "bfloat16", args.repeats)
        figures |= more
        ratios["ratio_bf16"] = plain["literal"] / short["ours"]
        ratios["ratio_bf16_alike"] = short["literal"] / short["ours"]
    else:
        ratios["bf16"] = "not measured: this device does not multiply bfloat16 natively"
    work = flops(setting.network(), setting.container())
    facts: dict[str, Figure] = {
        "width": args.width,
        "repeats": args.repeats,
        "threads": torch.get_num_threads(),
        "tf32": device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        **{f"gflop_{part}": work[part] / 1e9 for part in PARTS},
    }
    report(
        ratios | facts | figures,
        data=setting.facts,
        device=args.device,
        seed=0,
        save=args.save,
    )


if __name__ == "__main__":
    main()
