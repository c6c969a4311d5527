"""What was driven becomes files that others can read."""

import zipfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from play_sessions import ACTIONS, batch_of, drive, session_of

from worldmodel.errors import WorldModelError
from worldmodel.play.recording import Drive
from worldmodel.play.session import Session
from worldmodel.play.simulator import Reality


@pytest.fixture(scope="module")
def session() -> Session:
    made = session_of(batch_of(size=16))
    drive(made, ACTIONS[:12])
    return made


def of(session: Session, first: int = 0, last: int = 12) -> Drive:
    return Drive(session.world, "tiny", [session.now[t] for t in range(first, last + 1)], session.seed)


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_a_video_shows_dream_reality_and_difference(session: Session, format: str, tmp_path: Path) -> None:
    path = of(session).write(tmp_path, format)
    frames = imageio.imread(path, index=None)
    assert len(frames) >= 13 and frames.shape[2] > 3 * 200
    assert np.abs(frames[0].astype(int) - frames[12]).mean() > 1, "it moves"
    right = frames[0][:, -240:][60:-20]
    assert right.mean() < 30, "at the start there is no difference"
    assert frames[12][:, -240:][60:-20].mean() > right.mean()


@pytest.mark.parametrize("format", ["minari", "minari-real"])
def test_a_minari_dataset_holds_what_was_seen_and_done(session: Session, format: str, tmp_path: Path) -> None:
    import minari

    path = of(session).write(tmp_path, format)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "root")
    (data,) = (tmp_path / "root").rglob("data")
    (episode,) = list(minari.MinariDataset(data))
    shown = "real" if format == "minari-real" else "frame"
    moments = session.now.moments
    assert np.array_equal(episode.observations, [getattr(moment, shown) for moment in moments])
    assert np.allclose(episode.actions, ACTIONS[:12])
    rewards = [moment.real_reward if shown == "real" else moment.reward for moment in moments[1:]]
    assert np.allclose(episode.rewards, rewards)
    assert episode.truncations[-1] and not episode.terminations.any()
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == [path.name], "nothing is left over"


def test_what_cannot_be_saved_is_one_sentence(session: Session, tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match="nothing to save"):
        of(session, last=0).write(tmp_path, "mp4")
    alone = Session(session._batch, Reality(None))
    drive(alone, ACTIONS[:3])
    with pytest.raises(WorldModelError, match="not beside all of it"):
        of(alone, last=3).write(tmp_path, "minari-real")
    video = imageio.imread(of(alone, last=3).write(tmp_path, "gif"), index=None)
    assert video.shape[2] < 300, "the dream alone"


def test_long_videos_are_smaller(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    sharp = of(session)._video()
    monkeypatch.setattr("worldmodel.play.recording.SHARP", 5)
    assert of(session)._video().shape[1] < 0.6 * sharp.shape[1]
