"""Compiled kernels on disk: whatever is wrong with their files or folder ends no run."""

import os
import stat
from pathlib import Path

import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels.fast import compiling, keeping


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder of this user's own, in which kernels are kept."""
    monkeypatch.setattr(compiling, "FOLDER", tmp_path)
    return tmp_path


def double(x):
    return 2 * x


def fresh():
    """The kernel as a new process has it, after one call: how often it was found."""
    kernel = compiling.compiled(double)
    assert kernel(3) == 6
    return sum(kernel.stats.cache_hits.values())


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def put_a_folder_there(file):
    file.unlink()
    file.mkdir()
    (file / "more").touch()


def put_a_pipe_there(file):
    file.unlink()
    os.mkfifo(file)


DAMAGES = {
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "only a checksum": lambda file: file.write_bytes(file.read_bytes()[:32]),
    "a flipped bit": flip_a_bit,
    "something else": lambda file: file.write_text("something else" * 99),
    "a folder": put_a_folder_there,
    "a link to nothing": lambda file: (file.unlink(), file.symlink_to("nothing")),
    "a pipe": put_a_pipe_there,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_compiled_again(damage, folder, capsys):
    assert [fresh(), fresh()] == [0, 1]
    (file,) = folder.iterdir()
    try:
        damage(file)
    except (AttributeError, OSError):
        pytest.skip("the system has no such file")
    assert [fresh(), fresh()] == [0, 1]
    assert list(folder.iterdir()) == [file] and file.is_file()
    assert capsys.readouterr().err == ""


def test_what_cannot_be_written_is_not_kept(folder, monkeypatch, capsys):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping.os, "replace", full)
    keeping._not_kept.cache_clear()
    assert [fresh(), fresh()] == [0, 0]
    assert list(folder.iterdir()) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "not kept for later runs: No space left on device" in line


@pytest.fixture
def root(monkeypatch, tmp_path):
    """Where the folder is to be, on a machine whose users all trust each other."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    keeping._not_kept.cache_clear()
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def refused(capsys, reason):
    """No folder, and one line that says why, however often it is asked for."""
    assert keeping.find_folder() is None and keeping.find_folder() is None
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line and "NUMBA_CACHE_DIR" in line
    return True


def test_without_a_home_directory_nothing_is_kept(monkeypatch, capsys, root):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert refused(capsys, "Could not determine home directory")


def test_without_a_place_for_a_folder_nothing_is_kept(monkeypatch, capsys, root):
    (root / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(root / "file"))
    assert refused(capsys, str(root / "file"))


needs_owners = pytest.mark.skipif(
    not hasattr(os, "geteuid"), reason="the system has no owners of files"
)


@needs_owners
def test_the_folder_is_nobody_elses(root, capsys):
    folder = keeping.find_folder()
    assert folder.parent == root and stat.S_IMODE(folder.stat().st_mode) == 0o700
    for mode in (0o720, 0o702):
        folder.chmod(mode)
        assert refused(capsys, f"other users may write to {folder}")
        keeping._not_kept.cache_clear()
    folder.chmod(0o755)
    assert keeping.find_folder() == folder


@needs_owners
def test_the_folder_of_another_user_is_not_used(root, monkeypatch, capsys):
    folder = keeping.find_folder()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert refused(capsys, f"{folder} belongs to another user")
