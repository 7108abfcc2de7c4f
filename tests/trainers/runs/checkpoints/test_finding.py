from pico_maml.trainers.runs.checkpoints import newest, written_beside


def save(run, step):
    with written_beside(run, step, is_writer=True) as folder:
        (folder / "weights").write_bytes(b"1234")
    return run / f"checkpoint-{step}"


def test_newest_is_the_greatest_number(tmp_path):
    assert newest(tmp_path) is None
    for step in (9, 100, 20):
        save(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert newest(tmp_path) == tmp_path / "checkpoint-100"


def test_damaged_checkpoints_are_renamed_with_a_warning(tmp_path, caplog):
    first, second = save(tmp_path, 1), save(tmp_path, 2)
    (second / "weights").write_bytes(b"12")
    assert newest(tmp_path) == first
    (line,) = caplog.messages
    assert line == f"{second} is damaged and was renamed to checkpoint-2.damaged: weights has 2 bytes instead of 4"
    save(tmp_path, 2).joinpath("weights").write_bytes(b"1235")
    assert newest(tmp_path) == first
    assert newest(tmp_path) == first, "nothing more happens"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-1",
        "checkpoint-2.damaged",
        "checkpoint-2.damaged-2",
    ]
