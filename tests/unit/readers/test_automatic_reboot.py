"""apt's configuration, read as apt reads it: apt-config itself is the witness where it is installed."""

import shutil
import subprocess

import pytest
from pidhygiene.readers import automatic_reboot
from simulated import SimulatedHost

ON = 'Unattended-Upgrade::Automatic-Reboot "true";\nUnattended-Upgrade::Automatic-Reboot-Time "02:00";\nAPT::Periodic::Unattended-Upgrade "1";\n'
TEXTS = [
    ON,
    "",
    "// Unattended-Upgrade::Automatic-Reboot \"true\";\n",
    "# Unattended-Upgrade::Automatic-Reboot \"true\";\n  # also\nAPT::X \"1\";\n",
    'Unattended-Upgrade {\n  Automatic-Reboot "true"; // not now\n  Automatic-Reboot-Time "03:30";\n};\n',
    '/* Unattended-Upgrade::Automatic-Reboot "true"; */ unattended-upgrade::AUTOMATIC-REBOOT "1"; Unattended-Upgrade::Automatic-Reboot-Time\n"04:00";',
    'Unattended-Upgrade { Origins-Pattern { "origin=Debian,codename=${distro_codename}"; "b;{}//"; }; Automatic-Reboot yes; };\n',
    'APT { Periodic { Unattended-Upgrade "always"; Enable 0; }; };\nUnattended-Upgrade::Automatic-Reboot-Time "now";',
    'Unattended-Upgrade::Automatic-Reboot "true";\nUnattended-Upgrade::Automatic-Reboot "false";\n',
    'Unattended-Upgrade{Automatic-Reboot on;Automatic-Reboot-Time 05:15;}',
    'Dir { Etc "x"; }\nUnattended-Upgrade\n{\n\tAutomatic-Reboot\t"with";\n}\n',
]
KEYS = (automatic_reboot.REBOOTS, automatic_reboot.AT, automatic_reboot.RUNS, automatic_reboot.ENABLED)


def host(**files):
    made = SimulatedHost().file(automatic_reboot.PROGRAMS[0], "x")
    for name, text in files.items():
        made.file("/etc/apt/apt.conf.d/" + name, text)
    return made


@pytest.mark.skipif(not shutil.which("apt-config"), reason="no apt here to compare with")
@pytest.mark.parametrize("text", TEXTS)
def test_apt_config_reads_the_same(text, tmp_path):
    place = tmp_path / "conf"
    place.write_text(text)
    asked = [word for number, key in enumerate(KEYS) for word in ("V%d" % number, key)]
    said = subprocess.run(["apt-config", "shell", *asked], env={"APT_CONFIG": str(place), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True).stdout
    ours = dict(automatic_reboot.parse(text))
    mentioned = {key: ours[key] for key in KEYS if key in ours}
    theirs = {KEYS[int(line[1])]: line[3:].strip("'") for line in said.splitlines()}
    assert mentioned == {key: value for key, value in theirs.items() if key in mentioned}
    assert not {key for key in KEYS if key.encode() in text.lower().encode() and key in theirs} - set(mentioned)


@pytest.mark.skipif(not shutil.which("apt-config"), reason="no apt here to compare with")
@pytest.mark.parametrize("name", ["50unattended-upgrades", "a.conf", "b.bak", "c.conf.dpkg-old", ".hidden", "d~", "e_f-9", "g.CONF", "-h", "i.j.conf", "k."])
def test_apt_config_takes_the_same_files(name, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / name).write_text(ON)
    said = subprocess.run(["apt-config", "shell", "V", KEYS[1]], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "APT_CONFIG": str(_only(tmp_path))}).stdout
    assert (automatic_reboot.read(host(**{name: ON})).at == "02:00") == ("02:00" in said)


def _only(folder):
    place = folder / "only"
    place.write_text('Dir::Etc::Parts "%s";\nDir::Etc::Main "/nonexistent";\n' % (folder / "parts"))
    return place


@pytest.mark.parametrize("files, at", [
    ({"50u": ON}, ("02:00", "/etc/apt/apt.conf.d/50u")),
    ({"50u": ON, "60u": 'Unattended-Upgrade::Automatic-Reboot-Time "3:05";'}, ("3:05", "/etc/apt/apt.conf.d/60u")),
    ({"50u": ON, "60u": 'Unattended-Upgrade::Automatic-Reboot "false";'}, ("", "")),
    ({"50u": ON, "60u": 'APT::Periodic::Unattended-Upgrade "0";'}, ("", "")),
    ({"50u": ON, "60u": 'APT::Periodic::Enable "0";'}, ("", "")),
    ({"50u": ON, "60u": 'Unattended-Upgrade::Automatic-Reboot-Time "now";'}, ("", "")),
    ({"50u": ON, "60u": 'Unattended-Upgrade::Automatic-Reboot-Time "25:00; rm";'}, ("", "")),
    ({"50u": ON.replace('Reboot-Time "02:00"', 'Reboot-Else "1"')}, ("", "")),
    ({}, ("", "")),
])
def test_when_it_reboots(files, at):
    assert automatic_reboot.read(host(**files))[:2] == at


def test_the_main_file_has_the_last_word():
    assert automatic_reboot.read(host(u=ON).file("/etc/apt/apt.conf", 'Unattended-Upgrade::Automatic-Reboot-Time "06:00";')).source == "/etc/apt/apt.conf"


def test_without_the_program_nothing_is_read():
    made = SimulatedHost().file("/etc/apt/apt.conf.d/50u", ON)
    assert automatic_reboot.read(made) == ("", "", ())


def test_what_is_closed_is_a_gap():
    assert [gap.source for gap in automatic_reboot.read(host(u=ON, v=ON).forbid("/etc/apt/apt.conf.d/v")).gaps] == ["/etc/apt/apt.conf.d/v"]
    assert [gap.source for gap in automatic_reboot.read(host(u=ON).forbid("/etc/apt/apt.conf.d")).gaps] == ["/etc/apt/apt.conf.d"]
