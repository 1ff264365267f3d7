"""Waits from failure to failure: doubled up to the longest, within what is left to chance."""

import pytest

from connector.backoff import Backoff


@pytest.mark.parametrize("sure", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("failures", "most_s"), [(1, 2.0), (2, 4.0), (3, 8.0), (5, 30.0), (100_000, 30.0)])
def test_a_wait_is_between_its_sure_part_and_all_of_it(sure: float, failures: int, most_s: float) -> None:
    waits = [Backoff(2.0, 30.0, sure=sure).wait_s(failures) for _ in range(200)]
    assert all(sure * most_s <= wait <= most_s for wait in waits)
    assert (max(waits) - min(waits) > 0.5 * (1 - sure) * most_s) == (sure < 1)
