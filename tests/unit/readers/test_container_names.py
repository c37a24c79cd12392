"""Names of cgroups are hostile text: any user may name his."""

from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers.containers import identify

PARTS = ("docker", "docker-" + "a" * 64 + ".scope", "lxc", "lxc.payload.x", "machine-y.scope", "kubepods", "b" * 64, "..", "", "\n")


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PARTS), max_size=8).map("/".join)))
def test_a_runtime_always_comes_with_an_id(path):
    runtime, name = identify(path)
    assert bool(runtime) == bool(name) and name in path


def test_the_outermost_container_counts():
    """docker in docker: the one that this host runs."""
    assert identify("/docker/%s/docker/%s" % ("a" * 64, "b" * 64)) == ("docker", "a" * 64)
