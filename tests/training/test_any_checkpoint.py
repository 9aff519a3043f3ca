"""Checkpoints with arbitrary damage."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cct.training.checkpoints import CheckpointStore

within = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@within
@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=3), st.integers(0))
def test_any_damage_of_a_checkpoint_is_found_and_the_one_before_is_used(tmp_path, flips, cut):
    for epoch in (1, 2):
        with CheckpointStore(tmp_path, "ab" * 20) as saved:
            saved.clear() if epoch == 1 else None
            saved.save({"epoch": epoch, "step": 0}, {"model": [np.arange(50.0) * epoch]})
    last = next((tmp_path / ("ab" * 20)).glob("000002-*"))
    whole = last.read_bytes()
    damaged = bytearray(whole)
    for place, mask in flips:
        damaged[place % len(damaged)] ^= mask
    damaged = bytes(damaged[: len(damaged) - cut % len(damaged)])
    last.write_bytes(damaged)
    with CheckpointStore(tmp_path, "ab" * 20) as saved:
        epoch = saved.latest.content["epoch"]
        assert epoch == (2 if damaged == whole else 1)
        np.testing.assert_array_equal(saved.latest.arrays["model"][0], np.arange(50.0) * epoch)
