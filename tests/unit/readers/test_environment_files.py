import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers import environment_files as files


@pytest.mark.parametrize("text, expected", [
    ("TZ=Asia/Shanghai", [(1, "Asia/Shanghai", False)]),
    ("# TZ=no\n export TZ=UTC\r\n", [(2, "UTC", True)]),
    ("TZ='Asia/Shanghai'; export TZ", [(1, "Asia/Shanghai", True)]),
    ('TZ="Asia/Shanghai"   # ours\nexport PATH TZ\n', [(1, "Asia/Shanghai", True)]),
    ("declare -x TZ=UTC\ntypeset -x TZ=GMT", [(1, "UTC", True), (2, "GMT", True)]),
    ("TZ=UTC date +%s", []),  # for one command only
    ("export TZ=UTC LANG=C", [(1, "UTC", True)]),
    ("TZ=$(cat /etc/timezone)", [(1, None, False)]),
    ('TZ="${ZONE:-UTC}"', [(1, None, False)]),
    ("TZ='$x'", [(1, "$x", False)]),
    ("TZ=", [(1, "", False)]),
    ("TZ=<+08>-8", [(1, "<+08>-8", False)]),
    ("MYTZ=UTC\nTZDIR=/x\nTZ_X=1\necho TZ=UTC", []),
])
def test_shell(text, expected):
    assert [tuple(each) for each in files.shell(text, "TZ")] == expected


def test_unit():
    text = ("[Service]\nEnvironment=A=1 TZ=UTC\n#Environment=TZ=no\nEnvironment=\"PASSWORD=a b\" \\\n  'TZ=Asia/Shanghai'\n"
            "EnvironmentFile=-/etc/default/cron\nEnvironmentFile=/run/%i.env\nExecStart=/bin/true TZ=x\n")
    found, more = files.unit(text, "TZ")
    assert [tuple(each) for each in found] == [(2, "UTC", True), (4, "Asia/Shanghai", True)]
    assert more == ["/etc/default/cron"]


def test_pam_env():
    text = "TZ DEFAULT=UTC\nTZ DEFAULT=UTC OVERRIDE=Asia/Tokyo\nTZ\tDEFAULT=@{HOME}\n#TZ DEFAULT=x\nTZDIR DEFAULT=/x\nTZ\n"
    assert [tuple(each) for each in files.pam_env(text, "TZ")] == [(1, "UTC", True), (2, "Asia/Tokyo", True), (3, None, True)]


def test_process():
    assert files.process(b"A=1\0TZ=UTC\0TZ=GMT\0", "TZ") == "UTC"
    assert files.process(b"TZ=\0", "TZ") == ""
    assert files.process(b"ATZ=UTC\0B=TZ=1\0", "TZ") is None
    assert files.process(b"TZ=\xff", "TZ") == "\udcff"


@given(st.text(st.sampled_from("TZ=export \t\n'\"\\$`;#&|<>()-:/ab"), max_size=60))
def test_never_raises(text):
    files.shell(text, "TZ")
    files.unit(text, "TZ")
    files.pam_env(text, "TZ")
    files.process(text.encode(), "TZ")


@given(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=("Cs",)), max_size=30))
def test_single_quotes_keep_everything(value):
    quoted = "TZ='%s'" % value.replace("'", "'\\''")
    assert [each.value for each in files.shell(quoted, "TZ")] == [value]
