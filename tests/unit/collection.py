"""The collection of this checkout, importable as Ansible imports it."""

import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COLLECTIONS = REPOSITORY / "playbooks" / "collections"


def install():
    """Make ``ansible_collections.pidhygiene.host`` importable in this process, once."""
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if "ansible_collections" not in sys.modules:
        _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()
