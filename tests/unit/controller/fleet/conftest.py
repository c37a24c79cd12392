import pathlib
import sys

PLACE = pathlib.Path(__file__).resolve().parent
if str(PLACE) not in sys.path:
    sys.path.insert(0, str(PLACE))
