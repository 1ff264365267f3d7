"""`connector` with so many slots (BENCH_SLOTS), which no user can choose: `python -m tests.bench.slotted serve …`."""

import functools
import os

from connector import app
from connector.cli import main
from connector.pipeline.service import Pipeline

if __name__ == "__main__":
    vars(app)["Pipeline"] = functools.partial(Pipeline, slots=int(os.environ.pop("BENCH_SLOTS")))
    main()
