"""Recipes: named settings of a whole run."""

from hmnpack.schema.config import (
    MATCHING_AUGMENTATIONS,
    CompressConfig,
    ContainerConfig,
    MatchConfig,
    NetworkConfig,
    PoolConfig,
    TrainConfig,
    WarmupConfig,
)

SMOKE = CompressConfig(
    recipe="smoke",
    pool=PoolConfig(
        size=1,
        network=NetworkConfig(width=8, depth=2),
        train=TrainConfig(epochs=1, augment=MATCHING_AUGMENTATIONS),
        min_steps=0,
    ),
    warmup=WarmupConfig(steps=5, batch=64),
    match=MatchConfig(steps=4, real_batch=8, synthetic_batch=4),
)
"""Seconds: for tests, and to see whether a data set opens."""

FAST = CompressConfig(
    recipe="fast",
    container=ContainerConfig(),
    pool=PoolConfig(
        size=2,
        network=NetworkConfig(width=64),
        train=TrainConfig(
            epochs=4, lr=0.02, lr_end=0.0002, augment=MATCHING_AUGMENTATIONS, cutmix=0.0
        ),
    ),
    warmup=WarmupConfig(steps=300, lr=0.02),
    match=MatchConfig(steps=800),
)
"""Minutes on a CPU: the demo, and a first bundle of a small data set."""
