"""The plans in the configuration, on two processes."""

import forked
import pytest
import sharded_forward


@pytest.mark.parametrize("kind", ["fsdp", "tensor-parallel"])
def test_sharded_forward_and_gradients_equal_the_plain_ones(model, kind, tmp_path):
    model.save_pretrained(tmp_path)
    printed = forked.run(sharded_forward.main, kind, tmp_path, log=tmp_path / "log", processes=2)
    assert printed.count("equal") == 2
