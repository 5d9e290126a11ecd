"""Files are whole or what they were before."""

import hashlib

import pytest

from goodpath.errors import GoodpathError
from goodpath.files import read_json, replacing, sha256, write_json, write_text


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_json_comes_back_and_nan_is_refused(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, 2.5, "three"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, 2.5, "three"]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"x": [1, 2.5, "three"]}


def test_missing_and_broken_json_are_explained(tmp_path):
    with pytest.raises(GoodpathError, match="does not exist"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(GoodpathError, match="is not JSON"):
        read_json(tmp_path / "a.json")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
