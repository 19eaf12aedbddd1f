"""The compiled kernels, shared by all tests of row kernels."""

from __future__ import annotations

import pytest
from row_harness import Harness


@pytest.fixture(scope="session")
def harness(tmp_path_factory) -> Harness:
    return Harness(tmp_path_factory.mktemp("rows"))
