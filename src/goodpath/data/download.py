"""Downloads of data sets: resumed where they broke off, checked, and in place only when they are whole.

Beside `NAME` in the data folder there may lie `NAME.sha256` (the hash of the first good download, in the form
that `sha256sum --check` reads), and, while a download is under way or broken off, `NAME.part`,
`NAME.part.json` (where the part came from) and `NAME.lock`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLError
from typing import Final
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from goodpath.data import dsrl
from goodpath.data._files import existing_file
from goodpath.errors import GoodpathError
from goodpath.files import publish, write_text
from goodpath.files import sha256 as hash_of

if sys.platform != "win32":
    import fcntl

MIRRORS: Final = (
    "https://huggingface.co/datasets/YYY-45/DSRL/resolve/main/",
    "http://data.offline-saferl.org/download/",
)

_PAUSES = (1.0, 3.0)  # seconds between rounds over the mirrors
_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 2**20
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, SSLError)

Progress = Callable[[int, int | None], None]


class _Unusable(Exception):
    """A mirror that need not be asked again; the message says why."""


class _Broken(Exception):
    """A download that broke off and can be resumed."""


def data_folder() -> Path:
    """Where downloads are kept: $GOODPATH_DATA, else $DSRL_DATASET_DIR, else ~/.cache/goodpath/datasets."""
    named = os.environ.get("GOODPATH_DATA") or os.environ.get("DSRL_DATASET_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "goodpath" / "datasets"


def fetch(
    source: str,
    folder: str | Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    sha256: str | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Returns the path of a data set, downloaded first if it is not there yet.

    Args:
        source: a DSRL task by any of its names (see `dsrl.find`), an http or https URL, or the path of a file
            that is already here, which is taken as it is.
        folder: where to keep it; `data_folder()` when left out.
        mirrors: URLs to which the name of a task's file is joined, in the order in which they are tried.
        sha256: hash that the file must have.
        verify: compares a file that is already here with the hash recorded when it was downloaded.
        progress: is told the number of bytes here and the number in all, None where that is unknown.

    Raises:
        GoodpathError: nothing has this name, no mirror gave the file, or the hash differs.
    """
    urls, target = _locate(source, Path(folder) if folder else data_folder(), mirrors)
    if not _present(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _lock(target):
                if not _present(target):  # another process may have been first
                    _download(urls, target, sha256, progress)
                    return target
        except OSError as error:
            raise GoodpathError(f"cannot write into {target.parent}: {error}.") from error
    _verify(target, sha256, verify)
    return target


def _locate(source: str, folder: Path, mirrors: Sequence[str]) -> tuple[list[str], Path]:
    """Where to download from, and where the file is or will be; no URLs for a file that is here."""
    path = Path(source).expanduser()
    if "://" in source:
        urls, name = [source], Path(unquote(urlsplit(source).path)).name
        if not name:
            raise GoodpathError(f"the URL {source} names no file; give the address of the file itself.")
    elif path.is_file():
        return [], existing_file(path)
    elif len(path.parts) == 1 and (task := dsrl.guess(source)):
        urls, name = [mirror.rstrip("/") + "/" + task.file_name for mirror in mirrors], task.file_name
    elif len(path.parts) > 1 or path.suffix in (".hdf5", ".h5"):
        return [], existing_file(path)  # says that it is not there
    else:
        urls, name = [], dsrl.find(source).file_name  # says which task may have been meant
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https"):
            raise GoodpathError(f"files are downloaded over http and https only, not from {url}.")
    return urls, folder / name


def _present(target: Path) -> bool:
    return target.is_file() and target.stat().st_size > 0


def _verify(target: Path, sha256: str | None, verify: bool) -> None:
    record = target.with_name(target.name + ".sha256")
    if sha256 is None and verify:
        if not record.is_file():
            raise GoodpathError(
                f"there is no recorded hash {record} to verify {target.name} with; give sha256."
            )
        sha256 = record.read_text(encoding="utf-8").split()[0]
    if sha256 is not None and (found := hash_of(target)) != sha256.lower():
        raise GoodpathError(
            f"{target} has SHA-256 {found}, not {sha256.lower()}; delete it to download it again, or give"
            " the right hash."
        )


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Lets one process at a time download `target`; the lock dies with its process."""
    path = target.with_name(target.name + ".lock")
    with path.open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
        # Whoever waited for this lock finds the target there, so nobody needs the name any more.
        path.unlink(missing_ok=True)


def _download(urls: Sequence[str], target: Path, sha256: str | None, progress: Progress | None) -> None:
    part = target.with_name(target.name + ".part")
    failures: dict[str, str] = {}
    usable = list(urls)
    for pause in (*_PAUSES, None):
        for url in list(usable):
            try:
                _complete(url, part, progress)
                digest = _accept(part, target, sha256)
            except _Unusable as error:
                failures[url] = str(error)
                usable.remove(url)
            except _Broken as error:
                failures[url] = str(error)
            else:
                publish(part, target)
                part.with_name(part.name + ".json").unlink(missing_ok=True)
                write_text(target.with_name(target.name + ".sha256"), f"{digest}  {target.name}\n")
                return
        if not usable or pause is None:
            break
        time.sleep(pause)
    reasons = "; ".join(f"{url}: {failures[url]}" for url in urls)
    raise GoodpathError(
        f"could not download {target.name} ({reasons}); try again later to resume, or put the file into"
        f" {target.parent} by hand."
    )


def _complete(url: str, part: Path, progress: Progress | None) -> None:
    """Asks one mirror for the rest until the file is whole, or until asking again brings nothing more."""
    while True:
        size = part.stat().st_size if part.exists() else 0
        try:
            return _continue(url, part, progress)
        except _Broken:
            if not part.exists() or part.stat().st_size <= size:
                raise


def _accept(part: Path, target: Path, sha256: str | None) -> str:
    """Hash of a finished part, which is deleted if it is not what was wanted."""
    digest = hash_of(part)
    if sha256 is not None and digest != sha256.lower():
        part.unlink()
        raise _Unusable(f"what came has SHA-256 {digest}, not {sha256.lower()}")
    with part.open("rb") as file:
        magic = file.read(len(_HDF5_MAGIC))
    if target.suffix in (".hdf5", ".h5") and magic != _HDF5_MAGIC:
        part.unlink()
        raise _Unusable("what came is not an HDF5 file")
    return digest


def _continue(url: str, part: Path, progress: Progress | None) -> None:
    """Brings `part` from what is there to the whole file, or raises `_Broken` with what came kept."""
    origin = part.with_name(part.name + ".json")
    have, validator = 0, None
    if part.exists() and origin.exists():
        known = json.loads(origin.read_text(encoding="utf-8"))
        if known["url"] == url and known["validator"]:
            have, validator = part.stat().st_size, known["validator"]
    headers = {"User-Agent": "goodpath", "Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        with _open(request.Request(url, headers=headers)) as response:
            start, total = _extent(response, have)
            if start == 0:
                part.unlink(missing_ok=True)  # before its origin changes, lest two files be mixed
                write_text(origin, json.dumps({"url": url, "validator": _validator(response)}))
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while block := response.read(_BLOCK):
                    file.write(block)
                    if progress:
                        progress(file.tell(), total)
                file.truncate()
                size = file.tell()
    except HTTPError as error:
        error.close()
        if error.code == 416:  # what we have is not a beginning of what is there
            part.unlink(missing_ok=True)
        elif 400 <= error.code < 500 and error.code not in (408, 425, 429):
            raise _Unusable(f"the server answers {error.code} {error.reason}") from error
        raise _Broken(f"the server answers {error.code} {error.reason}") from error
    except _NETWORK_ERRORS as error:
        raise _Broken(str(getattr(error, "reason", None) or error or type(error).__name__)) from error
    if total is not None and size != total:
        raise _Broken(f"the connection was cut after {size} of {total} bytes")
    if size == 0:
        raise _Unusable("the server sent an empty file")


def _open(wanted: request.Request) -> HTTPResponse:
    """Opens http and https only; the stock opener of urllib would follow a redirection to ftp."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(wanted, timeout=_TIMEOUT)
    return response


def _extent(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and the size of the whole file, None if not said."""
    if response.status == 206:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span.split("-")[0] != str(have):
            raise HTTPException(f"the server sent the range {span or 'nothing'}, not from {have}")
        return have, int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(response: HTTPResponse) -> str | None:
    """What If-Range can name this version of the file by: a strong ETag, else the date of its last change."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")
