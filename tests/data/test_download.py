"""Finding data sets: this machine first, then the cache, then checked mirrors."""

import gzip
import hashlib
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tinygrad_cnn import data
from tinygrad_cnn.data import download
from tinygrad_cnn.errors import DatasetError

pooch = pytest.importorskip("pooch")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(idx_folder, no_data, monkeypatch, tmp_path):
    """A mirror of the small MNIST; its address, the cache folder, and its directory."""
    root, _ = idx_folder
    folder = root / "mnist"
    handler = partial(Quiet, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    pooch.get_logger().setLevel("ERROR")
    yield f"http://127.0.0.1:{server.server_port}/", tmp_path / "cache", folder
    server.shutdown()
    thread.join()
    server.server_close()


def source_from(folder, *mirrors):
    checksums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }
    return download.Source("mnist", "MNIST/raw", mirrors, checksums)


DEAD = "http://127.0.0.1:9/"


def test_a_missing_dataset_is_one_line_that_says_what_to_do(no_data):
    for dataset in (data.MNIST, data.FashionMNIST, data.CIFAR10):
        with pytest.raises(DatasetError) as error:
            dataset()
        message = str(error.value)
        assert "\n" not in message
        for remedy in ("TINYGRAD_CNN_DATA_DIR", "pip install pooch", "--data digits"):
            assert remedy in message


def test_nothing_is_downloaded_unless_it_is_allowed(mirror, monkeypatch):
    url, _, folder = mirror
    monkeypatch.setattr(data.MNIST, "source", source_from(folder, url))
    with pytest.raises(DatasetError, match="download=True"):
        data.MNIST()


def test_a_download_is_cached_and_then_read_without_the_network(mirror, monkeypatch):
    url, cache, folder = mirror
    monkeypatch.setattr(data.MNIST, "source", source_from(folder, url))
    first = data.MNIST(download=True)
    assert len(first) == 20
    assert len(list(cache.rglob("train-*-ubyte.gz"))) == 2
    monkeypatch.setattr(data.MNIST, "source", source_from(folder, DEAD))
    for download_again in (True, False):
        again = data.MNIST(download=download_again)
        assert (again.images == first.images).all()


def test_mirrors_that_are_down_or_give_other_content_are_passed_over(
    mirror, monkeypatch, tmp_path
):
    url, _, folder = mirror
    source = source_from(folder, DEAD, url + "missing/", url + "wrong/", url)
    monkeypatch.setattr(data.MNIST, "source", source)
    (folder / "wrong").mkdir()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (folder / "wrong" / name).write_bytes(b"<html>503</html>")
    assert len(data.MNIST(download=True)) == 20


def test_content_without_the_pinned_checksum_is_refused_and_not_kept(
    mirror, monkeypatch
):
    url, cache, folder = mirror
    source = source_from(folder, url, DEAD)
    monkeypatch.setattr(data.MNIST, "source", source)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    with pytest.raises(DatasetError, match="no mirror could give it"):
        data.MNIST(download=True)
    assert list(cache.rglob("train-images*")) == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(mirror, monkeypatch):
    url, cache, folder = mirror
    monkeypatch.setattr(data.MNIST, "source", source_from(folder, url))
    data.MNIST(download=True)
    [path] = cache.rglob("train-images*")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"ends too early|expected"):
        data.MNIST()
    assert len(data.MNIST(download=True)) == 20


def test_a_download_with_a_root_goes_there(mirror, monkeypatch, tmp_path):
    url, cache, folder = mirror
    monkeypatch.setattr(data.MNIST, "source", source_from(folder, url))
    data.MNIST(tmp_path / "mine", download=True)
    assert len(list((tmp_path / "mine" / "mnist").iterdir())) == 2
    assert not cache.exists()
    assert len(data.MNIST(tmp_path / "mine")) == 20


def test_without_pooch_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv("TINYGRAD_CNN_DATA_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match="pip install pooch"):
        data.load("mnist")


def test_local_files_are_used_before_cache_and_network(idx_folder, monkeypatch):
    root, _ = idx_folder
    monkeypatch.setenv("TINYGRAD_CNN_DATA_DIR", str(root))
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert len(data.MNIST(download=True)) == 20


@pytest.mark.parametrize(
    "source", [download.MNIST, download.FASHION_MNIST, download.CIFAR10]
)
def test_every_file_has_a_pinned_sha256_and_more_than_one_mirror(source):
    assert len(source.mirrors) >= 2
    assert all(len(bytes.fromhex(value)) == 32 for value in source.sha256.values())
    assert len(set(source.sha256.values())) == len(source.sha256)


def test_the_package_names_nothing_that_runs_code_from_data():
    folder = Path(data.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    for word in ("import pickle", "extractall", "eval(", "exec(", "marshal", "shelve"):
        assert word not in text
