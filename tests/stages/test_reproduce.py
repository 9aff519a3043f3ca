"""A repeated run gives the same bits in another folder and at another time."""

from runs import digests


def test_verify_says_what_is_identical_and_what_differs(finished):
    clone = finished
    said = clone.run("cct", "verify")
    count = len(digests(clone)) - 1  # but for dvc.lock
    assert f"all {count} files are identical" in said, said
    history = clone.path / "reports/history.csv"
    before = history.read_text()
    try:
        history.unlink()  # DVC may have made it a link to its cache
        history.write_text(before.replace("train_loss", "training_loss"))
        said = clone.run("cct", "verify", code=1)
        assert "error: the files here were not made by the present parameters and code (train" in said
    finally:
        history.write_text(before)
