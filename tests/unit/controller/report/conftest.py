import pathlib
import sys

import pytest

HERE = str(pathlib.Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(scope="session")
def fleet_store(tmp_path_factory):
    """The URL of a store with five runs of sixty hosts."""
    import fleets

    place = tmp_path_factory.mktemp("fleet")
    fleets.store(place).close()
    return str(place / "fleet.db")


@pytest.fixture(scope="session")
def report(fleet_store):
    import fleets
    from controller.report.gather import gather
    from controller.store import Store

    with Store.open(fleet_store) as store:
        return gather(store, store.runs()[-1], fleets.NOW, fleets.WISHES)
