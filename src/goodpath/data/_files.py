"""Large files: found with a helpful word, and given their name only when they are whole."""

import os
import secrets
from pathlib import Path

from goodpath.errors import GoodpathError, nearest


def existing_file(path: Path) -> Path:
    """Returns `path` if it is a file with something in it.

    Raises:
        GoodpathError: it is missing, a folder, or has 0 bytes.
    """
    if path.is_dir():
        raise GoodpathError(f"{path} is a folder; name a file in it.")
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise GoodpathError(f"there is no file {path}.{nearest(path.name, siblings)}")
    if path.stat().st_size == 0:
        raise GoodpathError(f"{path} is empty (0 bytes); write or download it again.")
    return path


def temporary_beside(target: Path) -> Path:
    """A new name in the folder of `target`, which is made where it is missing.

    Raises:
        GoodpathError: `target` is a folder, or its folder cannot be made.
    """
    if target.is_dir():
        raise GoodpathError(f"{target} is a folder; name a file to write.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoodpathError(f"cannot make the folder {target.parent}: {error.strerror}.") from error
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
