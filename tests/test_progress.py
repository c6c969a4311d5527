"""Progress goes to stderr, passes everything through, and keeps logs short."""

import pytest

from worldmodel.progress import progress


def test_wraps_an_iterable(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(1000), total=1000, desc="collecting", unit="frame")) == list(range(1000))
    out, err = capsys.readouterr()
    assert out == ""
    assert "collecting" in err and "1000/1000" in err and "frame/s" in err
    assert err.count("\r") <= 3, "one line at most every half minute where stderr is no terminal"


def test_is_advanced_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(total=10, desc="training", unit="step") as bar:
        bar.update(10)
    assert "10/10" in capsys.readouterr().err
