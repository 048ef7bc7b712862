"""What all tests share: Hypothesis without a clock and without chance, and random numbers."""

import numpy as np
import pytest
from hypothesis import settings

# The same examples on every machine, however slow: a test that failed must fail again.
settings.register_profile("microgradx", deadline=None, derandomize=True)
settings.load_profile("microgradx")


@pytest.fixture
def generator() -> np.random.Generator:
    """Random numbers that are the same for a test whichever ran before it."""
    return np.random.default_rng(1986)
