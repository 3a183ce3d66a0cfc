"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from kanpde.files import atomic


def test_a_failure_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    target.write_text("old")

    def fail() -> None:
        with atomic(target) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
