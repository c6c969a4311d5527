import pytest

from worldmodel.errors import WorldModelError
from worldmodel.run_settings import flat, keep_settings


def test_a_run_goes_on_with_its_own_settings_only(tmp_path):
    path = tmp_path / "settings.json"
    keep_settings(path, {"model": {"width": 8}, "minutes": 1})
    keep_settings(path, {"model": {"width": 8}, "minutes": 2}, frozenset({"minutes"}))
    with pytest.raises(
        WorldModelError, match=r"started with model\.width=8, not 9: give that again, or choose"
    ):
        keep_settings(path, {"model": {"width": 9}, "minutes": 1})
    with pytest.raises(WorldModelError, match=r"started with minutes=1, not unset"):
        keep_settings(path, {"model": {"width": 8}})


def test_a_setting_that_came_later_has_the_value_that_runs_went_by_before(tmp_path):
    path, earlier = tmp_path / "settings.json", {"sees": "frames"}
    keep_settings(path, {"agent": {"width": 8}})
    keep_settings(path, {"agent": {"width": 8, "sees": "frames"}}, earlier=earlier)
    with pytest.raises(WorldModelError, match=r"started with agent\.sees=frames, not features"):
        keep_settings(path, {"agent": {"width": 8, "sees": "features"}}, earlier=earlier)


def test_nested_settings_are_compared_by_their_full_names() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [1, 2]}) == {"a.b": 1, "a.c": {}, "d": [1, 2]}
