"""What a dream shows and tells: frames, features or both; why it was truncated; what is left after close."""

import gc
import pickle
import weakref

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tiny_world import CONTEXT, SIZE, tiny_world_model

from worldmodel.envs.dream import DreamEnv, DreamVectorEnv, TruncatedBy
from worldmodel.errors import WorldModelError
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.world import StartContexts

F = 16
STILL = np.zeros((2, 2), np.float32)


def one_sentence(call, match):
    with pytest.raises(WorldModelError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


def uncalibrated():
    model = tiny_world_model()
    model.dynamics.calibration = None
    return model


@pytest.mark.parametrize("obs_type", ["features", "both"])
# As of any vector without bounds, HalfCheetah's too. (The upper mark is applied last.)
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is -?inf")
@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_passes_for_every_observation(obs_type):
    check_env(
        DreamEnv(tiny_world_model(), obs_type=obs_type, render_mode="rgb_array"), skip_render_check=True
    )


@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_passes_without_a_calibration():
    check_env(DreamEnv(uncalibrated()), skip_render_check=True)


def test_features_are_those_of_the_pass_that_made_or_read_the_frame():
    model = tiny_world_model()
    frames, features, both = (
        DreamVectorEnv(model, 2, obs_type=name) for name in ("frames", "features", "both")
    )
    assert features.single_observation_space == gym.spaces.Box(-np.inf, np.inf, (F,), np.float32)
    assert set(both.single_observation_space.spaces) == {"frames", "features"}
    seen = [env.reset(seed=3)[0] for env in (frames, features, both)]
    for step in range(12):  # through a reset
        assert seen[2] in both.observation_space
        assert np.array_equal(seen[0], seen[2]["frames"]) and np.array_equal(seen[1], seen[2]["features"])
        assert np.isfinite(seen[1]).all()
        assert np.array_equal(seen[1], features.get_state().state.features.numpy())
        seen = [env.step(STILL + step / 20)[0] for env in (frames, features, both)]


@pytest.mark.parametrize("obs_type", ["frames", "features", "both"])
def test_a_step_brings_frames_to_the_host_only_where_they_are_observed(monkeypatch, obs_type):
    """Frames came along with obs_type="features" too."""
    env = DreamVectorEnv(tiny_world_model(), 2, obs_type=obs_type, render_mode="rgb_array")
    env.reset(seed=0)
    brought, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: (brought.append(tensor.shape), cpu(tensor))[1])
    env.step(STILL)
    assert ((2, SIZE, SIZE, 3) in brought) == (obs_type != "features")


def test_what_is_rendered_is_what_frames_show():
    model = tiny_world_model()
    seeing, blind = (
        DreamVectorEnv(model, 2, obs_type=name, render_mode="rgb_array") for name in ("frames", "features")
    )
    frames, _ = seeing.reset(seed=3)
    blind.reset(seed=3)
    for step in range(6):
        for env in (seeing, blind):
            assert np.array_equal(env.render(), frames)
        blind.step(STILL + step / 20)
        frames, *_ = seeing.step(STILL + step / 20)


def test_one_dream_shows_the_same_features_as_in_a_batch():
    batch = DreamVectorEnv(tiny_world_model(), 3, obs_type="features")
    alone = DreamEnv(tiny_world_model(), obs_type="features")
    np.testing.assert_allclose(batch.reset(seed=4)[0][2], alone.reset(seed=6)[0], rtol=1e-4, atol=1e-5)
    for _ in range(5):
        seen = batch.step(np.ones((3, 2), np.float32))[0][2]
        np.testing.assert_allclose(seen, alone.step(np.ones(2, np.float32))[0], rtol=1e-3, atol=1e-4)


def test_final_observations_of_both_kinds_are_those_of_gymnasiums_own_vector_envs():
    model = tiny_world_model(max_episode_steps=2)
    env = DreamVectorEnv(model, 2, obs_type="both")
    reference = SyncVectorEnv(
        [lambda: DreamEnv(model, obs_type="both")] * 2, autoreset_mode=AutoresetMode.SAME_STEP
    )
    for each in (env, reference):
        each.reset(seed=0)
        each.step(STILL)
    ours, theirs = (each.step(STILL) for each in (env, reference))
    for index in range(2):
        final, expected = ours[4]["final_obs"][index], theirs[4]["final_obs"][index]
        assert set(final) == set(expected) and final["frames"].shape == (SIZE, SIZE, 3)
        assert np.array_equal(final["frames"], expected["frames"])
        np.testing.assert_allclose(final["features"], expected["features"], rtol=1e-3, atol=1e-4)
        assert not np.array_equal(final["features"], ours[0]["features"][index])
    assert ours[4]["final_info"]["truncated_by"].tolist() == [TruncatedBy.TIME_LIMIT] * 2
    assert theirs[4]["final_info"]["truncated_by"].tolist() == [TruncatedBy.TIME_LIMIT] * 2


@pytest.mark.parametrize("obs_type", ["frames", "features", "both"])
def test_what_was_handed_out_is_a_copy(obs_type):
    env = DreamVectorEnv(tiny_world_model(), 2, obs_type=obs_type)
    given, _ = env.reset(seed=0)
    parts = list(given.values()) if isinstance(given, dict) else [given]
    kept = [part.copy() for part in parts]
    env.step(STILL)
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, kept, strict=True))
    for part in parts:
        part[:] = 0
    env.reset(seed=0, options={"reset_mask": np.array([True, False])})
    again = env.reset(seed=0)[0]
    parts = list(again.values()) if isinstance(again, dict) else [again]
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, kept, strict=True))


@pytest.mark.parametrize("settings", [{"obs_type": "features"}, {"truncate_on_uncertainty": 5.0}])
def test_a_start_from_one_frame_has_neither_features_nor_an_expected_error(settings):
    model = tiny_world_model()
    env = DreamEnv(model, **settings)
    frame = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    env.reset(seed=0)
    expected = env.step(STILL[0])[0]
    env.reset(seed=0)
    one_sentence(lambda: env.reset(options={"frames": frame}), "at least two")
    assert np.array_equal(env.step(STILL[0])[0], expected)
    DreamEnv(model).reset(options={"frames": frame})
    model.contexts = StartContexts(model.contexts.frames[:, -1:], model.contexts.actions[:, CONTEXT - 1 :])
    one_sentence(lambda: DreamEnv(model, **settings), "at least two")


def test_a_dream_too_uncertain_is_truncated_and_says_so():
    free = DreamVectorEnv(tiny_world_model(), 3)
    free.reset(seed=0)
    told = np.stack([free.step(np.zeros((3, 2), np.float32))[4]["uncertainty"] for _ in range(6)])
    bound = float(np.median(told))
    env = DreamVectorEnv(tiny_world_model(), 3, truncate_on_uncertainty=bound, autoreset_mode="Disabled")
    env.reset(seed=0)
    for expected in told:
        _, _, terminated, truncated, info = env.step(np.zeros((3, 2), np.float32))
        assert not terminated.any() and np.array_equal(truncated, expected > bound)
        assert info["truncated_by"].tolist() == [
            TruncatedBy.UNCERTAINTY if cut else TruncatedBy.NOTHING for cut in truncated
        ]
        if truncated.any():
            break
    assert truncated.any()


def test_info_has_the_same_keys_for_every_checkpoint_at_reset_and_step():
    keys = {"context", "step", "uncertainty", "truncated_by", "termination_probability"}
    for model in (tiny_world_model(), uncalibrated()):
        single, vector = DreamEnv(model), DreamVectorEnv(model, 2)
        for info in (single.reset(seed=0)[1], single.step(STILL[0])[4]):
            assert set(info) == keys
        for info in (vector.reset(seed=0)[1], vector.step(STILL)[4]):
            assert set(info) == keys | {f"_{key}" for key in keys}
            assert info["truncated_by"].tolist() == [0, 0] and info["uncertainty"].dtype == np.float32
    assert np.isinf(vector.step(STILL)[4]["uncertainty"]).all(), (
        "nothing bounds an error of which nothing is known"
    )
    assert np.isnan(vector.reset()[1]["uncertainty"]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"obs_type": "frame"}, "'frames', 'features', 'both'"),
        ({"truncate_on_uncertainty": 10**400}, "a number of grey levels above 0"),
        ({"obs_type": None}, "obs_type"),
        ({"truncate_on_uncertainty": 0}, "above 0"),
        ({"truncate_on_uncertainty": "much"}, "above 0"),
        ({"truncate_on_uncertainty": float("nan")}, "above 0"),
        ({"truncate_on_uncertainty": True}, "above 0"),
        ({"truncate_on_uncertainty": 5.0, "num_inference_steps": 3}, "calibrated for 3 passes"),
    ],
)
def test_bad_settings_are_one_sentence(settings, message):
    for env in (DreamEnv, DreamVectorEnv):
        one_sentence(lambda env=env: env(tiny_world_model(), **settings), message)


def test_a_closed_environment_lets_go_of_everything_and_says_so(tmp_path):
    save_world_model(tiny_world_model(), tmp_path)
    for env in (DreamEnv(tmp_path), DreamVectorEnv(tmp_path, 2)):
        env.reset(seed=0)
        vector = getattr(env, "vector", env)
        held = [weakref.ref(vector.model.dynamics), weakref.ref(vector._dreams)]
        snapshot = env.get_state()
        action = env.action_space.sample()
        env.close()
        env.close()
        gc.collect()
        assert [ref() for ref in held] == [None, None]
        for call in (
            lambda env=env, action=action: env.step(action),
            env.reset,
            env.get_state,
            lambda env=env, snapshot=snapshot: env.set_state(snapshot),
            lambda env=env, snapshot=snapshot: env.branch(snapshot, np.zeros((2, 1, 2), np.float32)),
        ):
            one_sentence(call, r"^The environment is closed")


def test_nothing_is_drawn_before_a_reset_and_after_closing():
    """A dream that never began drew a black picture, a closed one its last."""
    env = DreamVectorEnv(tiny_world_model(), 2, render_mode="rgb_array")
    one_sentence(env.render, r"^Call reset\(\) before render")
    frames, _ = env.reset(seed=0)
    assert np.array_equal(np.stack(env.render()), frames)
    env.close()
    one_sentence(env.render, "^The environment is closed")
    assert DreamVectorEnv(tiny_world_model()).render() is None


def test_the_spec_of_an_environment_can_be_pickled(tmp_path):
    save_world_model(tiny_world_model(), tmp_path)
    settings = {"checkpoint": str(tmp_path), "obs_type": "both", "num_inference_steps": 1}
    spec = pickle.loads(pickle.dumps(gym.make("worldmodel/Dream-v0", **settings).spec))
    single = gym.make(spec)
    single.reset(seed=0)
    spec = pickle.loads(pickle.dumps(gym.make_vec("worldmodel/Dream-v0", num_envs=2, **settings).spec))
    vector = gym.make_vec(spec)
    assert vector.num_envs == 2 and vector.unwrapped.num_inference_steps == 1
    assert vector.metadata["autoreset_mode"] == vector.unwrapped.autoreset_mode == AutoresetMode.SAME_STEP
    assert single.metadata["render_fps"] == vector.metadata["render_fps"] == 10.0
    assert single.unwrapped.reward_range == vector.unwrapped.reward_range == (-1.0, 1.0)


def test_features_of_a_trunk_in_bfloat16_are_float32():
    model = tiny_world_model().to("cpu", "bfloat16")
    env = DreamVectorEnv(model, 2, obs_type="features")
    assert env.reset(seed=0)[0].dtype == np.float32
    assert env.step(STILL)[0] in env.observation_space and model.network.position.dtype == torch.bfloat16
