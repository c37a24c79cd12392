"""A host in memory with a folder over it: a remedy writes real files, and reads them back."""

from pidhygiene.answers import FileStat
from simulated import SimulatedHost


class Overlaid(SimulatedHost):
    """What lies in the folder is read there: a remedy writes files, not a host in memory."""

    def __init__(self, folder):
        self.folder = folder
        super().__init__()

    def read(self, path, limit=1 << 20, root="/"):
        real = self._real(path)
        return real.read_bytes() if real.is_file() else super().read(path, limit, root)

    def list(self, path, root="/"):
        real = self._real(path)
        if not real.is_dir():
            return super().list(path, root)
        return sorted({each.name for each in real.iterdir()} | set(super().list(path, root) if path in self._dirs else ()))

    def stat(self, path, follow=True, root="/"):
        real = self._real(path)
        if not real.is_file():
            return super().stat(path, follow, root)
        found = real.stat()
        return FileStat("file", found.st_mode & 0o7777, found.st_uid, found.st_gid, found.st_size, found.st_dev, found.st_ino, found.st_nlink,
                        found.st_mtime, found.st_ctime)

    def _real(self, path):
        return self.folder / path.lstrip("/") if not path.startswith(str(self.folder)) else type(self.folder)(path)
