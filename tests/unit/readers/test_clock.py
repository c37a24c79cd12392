import ctypes
import platform

import pytest
from pidhygiene import kernel_clock
from pidhygiene.host import ClockState, Denied, Unreadable


@pytest.mark.skipif(platform.system() != "Linux", reason="adjtimex is Linux's")
def test_the_kernel_answers():
    state = kernel_clock.state()
    assert 0 <= state.state <= 5
    assert 0 <= state.maxerror_us <= 16_000_000
    # STA_UNSYNC is what the return value TIME_ERROR says, when nothing else is wrong (no PPS here)
    assert (state.state == 5) == bool(state.status & kernel_clock.STA_UNSYNC)


class Refusing:
    def __init__(self, number):
        self.number = number

    def adjtimex(self, _answer):
        ctypes.set_errno(self.number)
        return -1


@pytest.mark.parametrize("number, error", [(1, Denied), (38, Unreadable)])
def test_refused(monkeypatch, number, error):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_arguments, **_options: Refusing(number))
    with pytest.raises(error):
        kernel_clock.state()


def test_no_such_function(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_arguments, **_options: object())
    with pytest.raises(Unreadable):
        kernel_clock.state()


def test_nothing_is_changed():
    """modes stays 0: two looks, one state."""
    assert kernel_clock.state().status == kernel_clock.state().status
    assert isinstance(kernel_clock.state(), ClockState)
