import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from goodpath.data import download
from goodpath.data.download import fetch
from goodpath.errors import GoodpathError

NAME = "SafetyPointCircle1Gymnasium-v0-200-1098.hdf5"
CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 4000
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content` under every path but /missing/, and does as its switches say."""

    content = CONTENT
    etag = '"one"'
    ranges = True
    cut_after: list[int]  # bytes after which the next answers break off, used up one by one
    status: list[int]  # errors to answer with first, used up one by one
    requests: list[tuple[str, str | None]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut_after, self.status, self.requests = [], [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, span = self.server, self.headers.get("Range")
        server.requests.append((self.path, span))
        if self.path.startswith("/missing/") or server.status:
            self.send_error(404 if self.path.startswith("/missing/") else server.status.pop(0))
            return
        if self.path.startswith("/to-ftp/"):
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/file.hdf5")
            self.end_headers()
            return
        content, start = server.content, 0
        if server.ranges and span and self.headers.get("If-Range") == server.etag:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        end = start + server.cut_after.pop(0) if server.cut_after else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0))
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_download_is_whole_and_its_hash_is_kept(server: Server, tmp_path: Path) -> None:
    seen = []
    path = fetch(
        "PointCircle1",
        tmp_path / "new",
        [server.url],
        progress=lambda here, total: seen.append((here, total)),
    )
    assert path == tmp_path / "new" / NAME
    assert path.read_bytes() == CONTENT
    assert server.requests == [(f"/{NAME}", None)]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert path.with_name(NAME + ".sha256").read_text() == f"{HASH}  {NAME}\n"
    assert sorted(entry.name for entry in path.parent.iterdir()) == [NAME, NAME + ".sha256"]

    assert fetch(NAME, path.parent, [server.url], sha256=HASH.upper(), verify=True) == path
    assert len(server.requests) == 1  # what is there is used


def test_a_cut_connection_is_resumed_in_the_same_call(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 20_000]
    path = fetch("PointCircle1", tmp_path, [server.url], sha256=HASH)
    assert path.read_bytes() == CONTENT
    assert [span for _, span in server.requests] == [None, "bytes=1000-", "bytes=21000-"]


def test_a_broken_download_is_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(
        GoodpathError, match=f"cut after 1000 of {len(CONTENT)} bytes.*try again later to resume"
    ):
        fetch("PointCircle1", tmp_path, [server.url])
    assert not (tmp_path / NAME).exists()
    assert (tmp_path / (NAME + ".part")).read_bytes() == CONTENT[:1000]
    server.requests.clear()
    assert fetch("PointCircle1", tmp_path, [server.url]).read_bytes() == CONTENT
    assert server.requests == [(f"/{NAME}", "bytes=1000-")]


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(GoodpathError):
        fetch("PointCircle1", tmp_path, [server.url])
    server.content, server.etag = CONTENT[:8] + CONTENT[8:][::-1], '"two"'
    assert fetch("PointCircle1", tmp_path, [server.url]).read_bytes() == server.content


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path, etag: str) -> None:
    server.ranges, server.etag, server.cut_after = False, etag, [1000]
    assert fetch("PointCircle1", tmp_path, [server.url], sha256=HASH).read_bytes() == CONTENT
    assert [span for _, span in server.requests] == [None, "bytes=1000-" if etag else None]


def test_a_part_that_is_longer_than_the_file_starts_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(GoodpathError):
        fetch("PointCircle1", tmp_path, [server.url])
    (tmp_path / (NAME + ".part")).write_bytes(bytes(len(CONTENT) + 5))
    assert fetch("PointCircle1", tmp_path, [server.url]).read_bytes() == CONTENT


def test_a_missing_file_is_sought_at_the_next_mirror(server: Server, tmp_path: Path) -> None:
    path = fetch("PointCircle1", tmp_path, [server.url + "missing/", server.url + "second"])
    assert path.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == [f"/missing/{NAME}", f"/second/{NAME}"]


def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_not(server: Server, tmp_path: Path) -> None:
    server.status = [503]
    assert fetch("PointCircle1", tmp_path, [server.url]).read_bytes() == CONTENT
    assert len(server.requests) == 2
    server.requests.clear()
    with pytest.raises(
        GoodpathError, match=r"could not download .*missing.*: the server answers 404 Not Found"
    ):
        fetch("PointCircle2", tmp_path, [server.url + "missing/"])
    assert len(server.requests) == 1


def test_a_wrong_hash_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(GoodpathError, match=f"what came has SHA-256 {HASH}, not {'0' * 64}"):
        fetch("PointCircle1", tmp_path, [server.url], sha256="0" * 64)
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / (NAME + ".part")).exists()

    path = fetch("PointCircle1", tmp_path, [server.url])
    with pytest.raises(GoodpathError, match=f"has SHA-256 {HASH}, not {'0' * 64}; delete it"):
        fetch("PointCircle1", tmp_path, [server.url], sha256="0" * 64)
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(GoodpathError, match=f"not {HASH}; delete it to download it again"):
        fetch("PointCircle1", tmp_path, verify=True)


def test_a_page_of_text_is_not_taken_for_data(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(GoodpathError, match="what came is not an HDF5 file"):
        fetch("PointCircle1", tmp_path, [server.url])
    server.content = b""
    with pytest.raises(GoodpathError, match="an empty file"):
        fetch("PointCircle1", tmp_path, [server.url])
    assert not (tmp_path / NAME).exists()


def test_several_at_once_download_only_once(server: Server, tmp_path: Path) -> None:
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch("PointCircle1", tmp_path, [server.url])))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / NAME] * 6
    assert paths[0].read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_any_url_and_only_over_http(server: Server, tmp_path: Path) -> None:
    assert fetch(server.url + "my%20data.hdf5?download=1", tmp_path) == tmp_path / "my data.hdf5"
    secret = tmp_path / "secret.hdf5"
    secret.write_bytes(CONTENT)
    for url in (f"file://{secret}", "ftp://127.0.0.1/file.hdf5"):
        with pytest.raises(GoodpathError, match="over http and https only"):
            fetch(url, tmp_path / "other")
    with pytest.raises(GoodpathError, match="unknown url type: ftp"):
        fetch(server.url + "to-ftp/file.hdf5", tmp_path)
    with pytest.raises(GoodpathError, match="names no file"):
        fetch(server.url, tmp_path)


def test_what_is_on_the_disk_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.hdf5"
    mine.write_bytes(CONTENT)
    assert fetch(str(mine)) == mine
    monkeypatch.chdir(tmp_path)
    assert fetch("mine.hdf5") == Path("mine.hdf5")
    with pytest.raises(GoodpathError, match=r"no file mein\.hdf5. Did you mean 'mine\.hdf5'"):
        fetch("mein.hdf5")
    with pytest.raises(GoodpathError, match=r"no DSRL task 'PointCircel1'\. Did you mean 'PointCircle1'"):
        fetch("PointCircel1")
    with pytest.raises(GoodpathError, match="no recorded hash"):
        fetch("mine.hdf5", verify=True)


def test_an_unreachable_host_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSES", ())
    with Server() as closed:
        url = closed.url
    with pytest.raises(GoodpathError) as caught:
        fetch("PointCircle1", tmp_path, [url])
    message = str(caught.value)
    assert url + NAME in message
    assert f"put the file into {tmp_path} by hand" in message
    assert "refused" in message


def test_the_folder_comes_from_the_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GOODPATH_DATA", "DSRL_DATASET_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert download.data_folder() == tmp_path / ".cache" / "goodpath" / "datasets"
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "theirs"))
    assert download.data_folder() == tmp_path / "theirs"
    monkeypatch.setenv("GOODPATH_DATA", "~/ours")
    assert download.data_folder() == tmp_path / "ours"
    (tmp_path / "ours").touch()
    with pytest.raises(GoodpathError, match="cannot write into"):
        fetch("PointCircle1", mirrors=["http://127.0.0.1:9/"])
