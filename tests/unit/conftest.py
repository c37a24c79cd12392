import os
import pathlib
import sys

from hypothesis import settings

ENGINE = pathlib.Path(__file__).resolve().parents[2] / "ansible_collection" / "plugins" / "module_utils"
for place in (ENGINE, pathlib.Path(__file__).resolve().parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))


def pytest_sessionstart(session):
    """A parser that runs away on hostile input fails its test instead of taking the machine's memory."""
    import resource

    if "unit" in str(session.config.args):
        resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, resource.getrlimit(resource.RLIMIT_DATA)[1]))


# No test asserts a time, on a busy machine least of all; hypothesis' own deadline would.
settings.register_profile("house", parent=settings.get_profile("ci" if "CI" in os.environ else "default"), deadline=None)
settings.load_profile("house")
