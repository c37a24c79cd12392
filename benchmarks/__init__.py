"""The project's numbers, measured: `python -m benchmarks` lists them, `python -m benchmarks NAME ...` or `all` measures.

Each module here is one benchmark: a docstring that says what it compares, and `measure()`, which yields what it found with its limit.
Both sides run in turn on the same host; exit status 1 says that something is above its limit.  No test asserts a time.
"""

import sys
from pathlib import Path

# The engine of this checkout, and no installed one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ansible_collection" / "plugins" / "module_utils"))
