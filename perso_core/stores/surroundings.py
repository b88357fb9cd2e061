"""What a store stands on: the SQLite there is, the file system, its locks, who may write. Where it
could lose or spoil what was acknowledged, it is refused before anything is written."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import struct
from pathlib import Path

import apsw

from perso_core.errors import StoreUnavailable, UnsafeStore
from perso_core.stores.system_limits import fix_of

MOUNTS = Path("/proc/self/mountinfo")

# The log is shared through memory, which two machines have not in common; and locks on these are
# slow or a pretence. Not here: 9p and virtiofs, by which a machine may be given its own disk.
# fmt: off
_REMOTE = (
    "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf",
)
_REMOTE_FUSE = (
    "ceph", "cephfs", "davfs2", "gcsfuse", "glusterfs", "goofys", "juicefs", "mount-s3", "rclone",
    "s3fs", "sshfs", "vmhgfs-fuse",
)
# fmt: on
REMOTE = frozenset({*_REMOTE, *(f"fuse.{name}" for name in _REMOTE_FUSE)})
# Kept in memory: it survives a crash of ours, and no power cut.
VOLATILE = frozenset({"tmpfs", "ramfs"})


def refuse_unsafe(path: Path) -> None:
    """Raises UnsafeStore, StoreUnavailable. path: of a database that is there."""
    refuse_racy(apsw.sqlite_lib_version())
    refuse_link(path)
    refuse_remote(path)
    refuse_unwritable(path)
    refuse_without_locks(path.parent)


def refuse_racy(version: str) -> None:
    """Before 3.51.3 two connections that checkpoint and commit at one moment can lose a commit or
    spoil the file (the WAL-reset race); the fix was taken back into 3.50.7 and 3.44.6. Raises
    UnsafeStore."""
    found = tuple(int(part) for part in version.split(".")[:3])
    if found >= (3, 51, 3) or (3, 50, 7) <= found < (3, 51) or (3, 44, 6) <= found < (3, 45):
        return
    raise UnsafeStore(
        f"SQLite {version} can lose commits of several processes.",
        fix="Install apsw from PyPI (pip install --upgrade --force-reinstall apsw): it brings its"
        " own SQLite.",
    )


def refuse_link(path: Path) -> None:
    """Raises UnsafeStore: the log would lie beside what it leads to, where nobody looks for it."""
    if path.is_symlink():
        raise UnsafeStore(
            f"{path} is a link to {path.readlink()}.",
            fix="Move the file here, or make the directory a link.",
        )


def refuse_remote(path: Path) -> None:
    """Raises UnsafeStore."""
    kind = file_system(path)
    if kind in REMOTE:
        raise UnsafeStore(
            f"{path.parent} is on a network file system ({kind}), where processes cannot share a"
            " log.",
            fix="Choose a data_dir on a local disk.",
        )


def file_system(path: Path) -> str:
    """As the system calls its kind, e.g. ext4; "" where it does not say."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    return kind_among(lines, path.resolve())


def kind_among(mounts: list[str], path: Path) -> str:
    """mounts: lines of mountinfo; of several at one place the last one is seen."""
    best, kind = -1, ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        place = Path(re.sub(r"\\([0-7]{3})", lambda one: chr(int(one[1], 8)), fields[4]))
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), after.split(" ")[0]
    return kind


def refuse_unwritable(path: Path) -> None:
    """SQLite would say of each of these that the database is read-only, or cannot be opened. Raises
    StoreUnavailable."""
    if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        raise StoreUnavailable(
            f"the disk that holds {path.parent} is read-only.",
            fix="Find out why in the system's log, and mount it for writing.",
        )
    for one in (path.parent, *(path.with_name(path.name + end) for end in ("", "-wal", "-shm"))):
        if one.exists() and not os.access(one, os.R_OK | os.W_OK):
            raise StoreUnavailable(
                f"this user may not write to {one}.",
                fix="Give it to the user that Perso runs as (chown); it was made by another one.",
            )


def refuse_without_locks(directory: Path) -> None:
    """Raises UnsafeStore where a file can be locked twice, or not at all."""
    setlk = getattr(fcntl, "F_OFD_SETLK", None)
    if setlk is None:  # not Linux
        return
    path = directory / f".{secrets.token_hex(8)}.probe"
    descriptors: list[int] = []
    try:
        # A lock of an open file, not of a process: the second descriptor is as another process.
        for flags in (os.O_CREAT | os.O_EXCL, 0):
            descriptors.append(os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600))
        locked = [_locked(one, setlk) for one in descriptors]
    except OSError as error:
        raise StoreUnavailable(
            f"{directory}: {error.strerror}.", fix=fix_of(error, "Let this user write there.")
        ) from error
    finally:
        for one in descriptors:
            os.close(one)
        path.unlink(missing_ok=True)
    if locked in ([True, True], [False, False]):
        raise UnsafeStore(
            f"files in {directory} cannot be locked, so two processes could write at once.",
            fix="Choose a data_dir on a local disk.",
        )


def _locked(descriptor: int, setlk: int) -> bool | None:
    """None: nobody can say. False: it cannot be, or another one holds it."""
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    try:
        fcntl.fcntl(descriptor, setlk, wanted)
    except OSError as error:
        return None if error.errno == errno.EINVAL else False
    return True
