"""How long a data set takes to open: decoded for the first time, and from the decoded cache."""

import tempfile
import time
from pathlib import Path

from harness import arguments, median_seconds, report

from hmnpack.schema.result import DataFacts
from hmnpack.sources import SourceOptions, open_source


def main() -> None:
    typed = arguments()
    spec = typed.data or "digits"
    with tempfile.TemporaryDirectory() as folder:
        options = SourceOptions(cache_dir=Path(folder))
        begun = time.perf_counter()
        source = open_source(spec, options)
        cold = time.perf_counter() - begun
        cached = median_seconds(lambda: open_source(spec, options), repeats=3, warm_up=0)
    count = len(source.train) + (len(source.test) if source.test else 0)
    report(
        {
            "images": count,
            "cold_seconds": cold,
            "cached_seconds": cached,
            "cold_images_per_second": count / cold,
            "ratio": cold / cached,
        },
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        save=typed.save,
    )


if __name__ == "__main__":
    main()
