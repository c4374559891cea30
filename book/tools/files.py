"""One way to write a file, such that a kill at any moment leaves the old content or the
new, whole.
"""

import os
import tempfile
from pathlib import Path


def write(path, content):
    """Replace the file at `path` by `content`, text or bytes, in one step.

    The content goes to a file beside it, to the disk, and then to its name. What an
    earlier, killed write left beside it is removed first; two writers of one file at
    the same time are not foreseen.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    for stale in path.parent.glob(f".{path.name}.*.part"):
        stale.unlink(missing_ok=True)
    handle, part = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, mode(path))
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def mode(path):
    """The permissions that the file has, or those of a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
