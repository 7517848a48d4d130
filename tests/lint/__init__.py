"""The tests of the checker."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.kit")  # a case that fails says which lines differ
