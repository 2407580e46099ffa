from __future__ import annotations

import pytest
from pools import make_pool

from invariantnets.bootstrapping import Pool


@pytest.fixture(scope="session")
def pool() -> Pool:
    return make_pool()
