"""Decoding all 11,680 images of the CIFAR-10 50-IPC container, against a literal decoder.

Alternates three variants: the container, an ``nn.Sequential`` of ``ConvTranspose2d`` with the same
weights, and a large matrix product, whose rate is taken as the machine's limit.
"""

import time
from statistics import median

import torch
from harness import arguments, report
from torch import Tensor, nn

from hmnpack.container import HMN, container_of, new_container
from hmnpack.container.budget import plan
from hmnpack.container.cost import decode_flops
from hmnpack.runtime.devices import choose_device, wait_for
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import ImageShape

ROUNDS = 7


def sequential(container: HMN) -> nn.Sequential:
    """Return the same decoder built from torch's layers."""
    layers: list[nn.Module] = []
    for weight, bias in zip(container.weights, container.biases, strict=True):
        layer = nn.ConvTranspose2d(weight.shape[0], weight.shape[1], 4, 2, 1)
        layer.weight.data, layer.bias.data = weight.data, bias.data
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def literal(container: HMN, decoder: nn.Sequential) -> Tensor:
    """Decode literally by equation 1: concatenate, then apply every layer to all images."""
    spec = container.spec
    features = torch.einsum("koc,cij->koij", container.extractor_weight, container.dataset)
    features = features + container.extractor_bias[:, :, None, None]
    labels = container.labels()
    memories = [features[labels], container.classwise[labels], container.instance]
    return decoder(torch.cat(memories, 1)).reshape(spec.images, *spec.image.model_dump().values())


def main() -> None:
    """Measure and report."""
    args = arguments()
    device = choose_device(args.device)
    spec = plan(50, 10, ImageShape(channels=3, height=32, width=32))
    fresh = new_container(spec, ContainerConfig(norm="none"), stream(0, "decode"))
    container = container_of(spec, fresh.stored_tensors()).to(device)
    assert isinstance(container, HMN)
    decoder = sequential(container)
    square = torch.randn(2048, 2048, device=device)
    taken: dict[str, list[float]] = {"ours": [], "literal": [], "product": []}
    with torch.no_grad():
        gap = float((container.expand() - literal(container, decoder)).abs().max())
        for _ in range(ROUNDS):
            for name, run in (
                ("ours", container.expand),
                ("literal", lambda: literal(container, decoder)),
                ("product", lambda: square @ square),
            ):
                begun = time.perf_counter()
                run()
                wait_for(device)
                taken[name].append(time.perf_counter() - begun)
    seconds = {name: median(values) for name, values in taken.items()}
    rate = 2 * 2048**3 / seconds["product"]
    own_rate = decode_flops(spec, spec.images) / seconds["ours"]
    figures = {
        "ratio": seconds["literal"] / seconds["ours"],
        "seconds": seconds["ours"],
        "seconds_literal": seconds["literal"],
        "images_per_second": spec.images / seconds["ours"],
        "gflops": own_rate / 1e9,
        "gflops_matrix_product": rate / 1e9,
        "part_of_matrix_product": own_rate / rate,
        "largest_difference": gap,
        "threads": torch.get_num_threads(),
    }
    report(figures, device=args.device, seed=0, save=args.save)


if __name__ == "__main__":
    main()
