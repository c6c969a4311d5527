"""The page of scenes: its tables are those of the code, and the contact sheet shows every scene."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.envs.catalogue import MARK, NAMES, contact_sheet, options_tables
from worldmodel.envs.scenes.options import Range


def test_the_page_has_the_options_of_the_code(repository: Path) -> None:
    """Write it anew with: python -m worldmodel.envs.catalogue docs"""
    _, mark, tables = (repository / "docs" / "scenes.md").read_text().partition(MARK)
    assert mark and tables.strip() == options_tables().strip()


def test_every_scene_with_options_is_in_it() -> None:
    ours: list[Any] = [
        gym.envs.registration.load_env_creator(str(gym.spec(f"worldmodel/{name}-v0").entry_point))
        for name in NAMES
    ]
    assert all(isinstance(entry, Range) for creator in ours for entry in creator.ranges.values())
    assert all(f"### {name}-v0" in options_tables() for name in NAMES)


def test_the_contact_sheet_has_a_row_of_moving_frames_per_scene() -> None:
    sheet = contact_sheet(size=16, columns=3, every=4, enlarge=1)
    assert sheet.dtype == np.uint8 and sheet.shape[0] == len(NAMES) * 20
    for i in range(len(NAMES)):
        first, _, last = (
            sheet[i * 20 + 2 : i * 20 + 18, -60 + 20 * k + 2 : -60 + 20 * k + 18] for k in range(3)
        )
        assert (first != last).any() and first.std() > 10
