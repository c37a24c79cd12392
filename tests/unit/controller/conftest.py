import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
for place in (REPOSITORY, REPOSITORY / "ansible_collection" / "plugins" / "plugin_utils", pathlib.Path(__file__).resolve().parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
