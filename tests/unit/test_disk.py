"""Files that are replaced whole: `Conversation.save`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chatgpt4online import Client, Conversation


@pytest.fixture
def talk() -> Conversation:
    """Return a conversation."""
    with Client("https://a.example") as client:
        return client.conversation(messages=[{"role": "user", "content": "Hi"}])


def link(path: Path, target: Path) -> None:
    """Make a symbolic link, where the system lets us."""
    try:
        path.symlink_to(target)
    except (NotImplementedError, OSError):
        pytest.skip("this system makes no symbolic links")


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_one(tmp_path: Path, talk: Conversation, exists: bool) -> None:
    """Saving through a symbolic link replaces the file that it names."""
    real = tmp_path / "elsewhere" / "real.json"
    real.parent.mkdir()
    if exists:
        real.write_text("old")
    path = tmp_path / "talk.json"
    link(path, real)
    talk.save(path)
    assert path.is_symlink()
    assert not real.is_symlink()
    assert '"Hi"' in real.read_text(encoding="utf-8")
    assert list(real.parent.iterdir()) == [real]


def test_a_bare_file_name(
    tmp_path: Path, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file name without a folder is one in the current folder."""
    monkeypatch.chdir(tmp_path)
    talk.save("talk.json")
    assert [each.name for each in tmp_path.iterdir()] == ["talk.json"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_an_error_names_the_file(tmp_path: Path, talk: Conversation, is_folder: bool) -> None:
    """If a file cannot be written, the error names the path that the caller gave, and no other."""
    path = tmp_path / "missing" / "talk.json"
    if is_folder:
        path.mkdir(parents=True)
    with pytest.raises(OSError, match="talk") as caught:
        talk.save(path)
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    if not is_folder:
        assert type(caught.value) is FileNotFoundError


@pytest.mark.parametrize(("code", "is_saved"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_fsync_may_be_missing_and_must_not_fail(
    tmp_path: Path,
    talk: Conversation,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    is_saved: bool,
) -> None:
    """A file system without fsync will do; on a disk that fails, the old file stays as it was."""

    def fails(_: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "talk.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    if is_saved:
        talk.save(path)
    else:
        with pytest.raises(OSError, match=os.strerror(code)):
            talk.save(path)
    assert (path.read_text(encoding="utf-8") == "old") is not is_saved
    assert list(tmp_path.iterdir()) == [path]
