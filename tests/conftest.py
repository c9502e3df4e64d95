"""The Hypothesis profiles: HYPOTHESIS_PROFILE=development (the default), pull-request or nightly.

On CI Hypothesis loads a profile of its own, `ci`, which is derandomised; a profile registered without a
parent would inherit from it. So every field is stated here and ours is always loaded.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

SHARED = settings(
    settings.get_profile("default"),
    deadline=None,  # the first example of a test loads a framework or compiles
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine draws slowly
)
settings.register_profile(
    "development",
    SHARED,
    max_examples=15,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(Path(".hypothesis", "development")),
)
settings.register_profile("pull-request", SHARED, max_examples=50, derandomize=True, database=None)
settings.register_profile(
    "nightly",
    SHARED,
    max_examples=1000,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(
        Path(os.environ.get("MINT_HYPOTHESIS_DATABASE") or Path(".hypothesis", "nightly"))
    ),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "development")
