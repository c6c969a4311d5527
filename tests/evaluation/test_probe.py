"""The probe: fitted on real frames, gated, kept; it says "cannot tell" of what is not to be seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from counting_data import HELD

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.moments.contexts import contexts_from
from worldmodel.evaluation.moments.grounds import SimulatorGround
from worldmodel.evaluation.moments.subject import Subject, subject_of
from worldmodel.evaluation.probe import training as probe_training
from worldmodel.evaluation.probe.network import MaskHead, motion, spoilt, stacked
from worldmodel.evaluation.probe.probe import FrozenProbe, ProbeConfig, load_probe, probe_version
from worldmodel.evaluation.probe.training import fit_probe, fitted_probe

SMALL = ProbeConfig(
    mask_frames=160,
    mask_steps=220,
    windows=50,
    length=8,
    place_steps=300,
    episodes=30,
    speed_steps=400,
    batch=128,
    gate_windows=40,
)
LEAST = replace(SMALL, mask_steps=2, windows=4, place_steps=2, speed_steps=2, gate_windows=2)


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    folder = tmp_path_factory.mktemp("push") / "data"
    env = {"id": "worldmodel/Push-v0", "size": 24}
    collect(env, HELD, folder, episodes=40, seed=1, workers=0)
    return EpisodeDataset(folder)


@pytest.fixture(scope="module")
def subject(push: EpisodeDataset) -> Subject:
    return subject_of(contexts_from(push, 2, 3, 4, 0))


@pytest.fixture(scope="module")
def probe(push: EpisodeDataset, subject: Subject) -> FrozenProbe:
    return fit_probe(push, subject, SMALL)


def test_it_reads_places_and_objects_of_real_frames(probe: FrozenProbe) -> None:
    assert probe.gate is not None and min(probe.gate.r2[:4]) > 0.9 and min(probe.gate.told) > 0.9
    assert min(probe.gate.iou) > 0.3 and max(probe.gate.iou) > 0.7
    assert min(probe.gate.r2[4:]) > 0.1, "speeds too, though so small a probe cannot be trusted with them"


def test_what_is_painted_over_is_not_told(push: EpisodeDataset, probe: FrozenProbe) -> None:
    episode = push.episode(int(push.split("heldout")[0]))
    frames = episode.frames[None, 3:9].copy()
    floor = np.median(frames.reshape(-1, 3), axis=0).astype(np.uint8)
    red = (frames[..., 0] > 150) & (frames[..., 1] < 100)  # the agent
    frames[:, 2][red[:, 2]] = floor
    reading = probe.read(episode.frames[None, :3], frames)
    missing = np.isnan(reading.features[0])
    agent = [i for i, feature in enumerate(probe.spec.features) if feature.object == "agent"]
    places = [i for i in agent if probe.spec.features[i].kind == "position"]
    speeds = [i for i in agent if probe.spec.features[i].kind == "velocity"]
    assert missing[2, agent].all() and not missing[[0, 1, 3], :][:, places].any()
    assert missing[2:5, :][:, speeds].all(), "a speed needs three frames"
    others = [i for i in range(len(probe.spec)) if i not in agent]
    assert not missing[:, others].any()
    assert reading.views.area[0, 2, 0] < 0.3 * reading.views.area[0, 1, 0]


def test_the_same_probe_comes_out_again_and_from_the_cache(
    push: EpisodeDataset, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fitted_probe(push, subject, LEAST, tmp_path)
    again = fit_probe(push, subject, LEAST)
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    monkeypatch.setattr(probe_training, "fit_probe", lambda *_: pytest.fail("it was kept"))
    kept = fitted_probe(push, subject, LEAST, tmp_path)
    assert kept.version == first.version == probe_version(push, subject, LEAST) and kept.gate == first.gate
    frames = push.episode_frames(0)[None, :5]
    np.testing.assert_array_equal(
        kept.read(frames[:, :2], frames[:, 2:]).features, first.read(frames[:, :2], frames[:, 2:]).features
    )
    assert probe_version(push, subject, replace(LEAST, seed=1)) != kept.version
    folder = tmp_path / kept.version
    (folder / "probe.safetensors").write_bytes(b"broken")
    with pytest.raises(WorldModelError, match="damaged: delete it"):
        load_probe(folder, subject)


def test_a_lone_context_frame_counts_as_what_was_before(push: EpisodeDataset, probe: FrozenProbe) -> None:
    frames = push.episode_frames(0)[None, :4]
    alone = probe.read(frames[:, :1], frames[:, 1:]).features
    twice = probe.read(frames[:, [0, 0]], frames[:, 1:]).features
    np.testing.assert_array_equal(alone, twice)
    assert probe.read(frames[:, :0], frames).features.shape == (1, 4, 8)


def test_moments_are_in_closed_form() -> None:
    """A square of 4 by 4 pixels around row 5.5, column 9.5 of a picture of 16."""
    mask = torch.zeros(1, 2, 16, 16)
    mask[0, 0, 4:8, 8:12] = 1
    square, nothing = MaskHead.moments(mask)[0]
    places = np.linspace(-1, 1, 16)
    assert square[:3].tolist() == pytest.approx([0.25, places[4:8].mean(), places[8:12].mean()], abs=1e-6)
    assert square[3:5].tolist() == pytest.approx([4 * places[4:8].var()] * 2, abs=1e-6)
    assert square[6] == 1.0 and nothing.abs().sum() == 0.0


def test_motion_is_the_newest_and_its_changes() -> None:
    running = torch.tensor([1.0, 3.0, 6.0, 10.0]).view(1, 4, 1)
    (first, second) = stacked(running)[0]
    assert second.flatten().tolist() == [10, 6, 3]
    seen = motion(second, torch.tensor([[True], [True], [False]]))
    assert seen.tolist() == [10, 4, 0, 1, 1, 0] and first.flatten().tolist() == [6, 3, 1]


def test_spoilt_frames_stay_frames_and_a_third_is_left_alone() -> None:
    frames = torch.rand(90, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    changed = spoilt(frames, torch.Generator().manual_seed(2))
    same = (changed == frames).flatten(1).all(1).float().mean().item()
    assert changed.abs().max() <= 1 and 0.15 < same < 0.5


def test_bodies_of_a_gymnasium_env_are_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"id": "InvertedPendulum-v5", "size": 16}
    collect(env, HELD, tmp_path / "data", episodes=12, seed=1, workers=0)
    dataset = EpisodeDataset(tmp_path / "data")
    least = replace(LEAST, length=4)
    ground = SimulatorGround(dataset, 3, least, tmp_path / "cache")
    assert ground.subject.objects == ("cart", "pole") and len(ground.note().objects) == 2
    truth = ground.simulator("simulator").rollouts(ground.contexts(2, 3, 0)).truth
    assert truth is not None and (truth.views.area[:, 0] > 0).all()
    recorded = {name: kind for name, kind in dataset.manifest.info_keys.items() if name != "visible_area"}
    older = replace(dataset.manifest, info_keys=recorded)
    monkeypatch.setattr(dataset, "manifest", older)
    assert SimulatorGround(dataset, 3, least, tmp_path / "older").subject.objects == ()
