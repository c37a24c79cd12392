"""Every remedy on real hosts, through Ansible and through Salt: broken, found, looked at, repaired, found well, repaired again, undone."""
