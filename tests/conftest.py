"""What all tests share."""

import os

from hypothesis import settings

# Chance finds bugs while somebody is there to mend them; in CI the same commit gives the same verdict.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
