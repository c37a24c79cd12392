import pathlib
import sys

ENGINE = pathlib.Path(__file__).resolve().parents[2] / "ansible_collection" / "plugins" / "module_utils"
for place in (ENGINE, pathlib.Path(__file__).resolve().parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
