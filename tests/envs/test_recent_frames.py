"""A dream goes on from a live environment as it would from the same frames and actions given by hand."""

import gymnasium as gym
import numpy as np
import pytest
from tiny_world import SIZE, tiny_world_model

import worldmodel  # noqa: F401  (registers the environments)
from worldmodel.envs.dream import DreamEnv, DreamVectorEnv
from worldmodel.envs.recent_frames import LENGTH, RecentFrames, recent_past
from worldmodel.errors import EnvError, WorldModelError
from worldmodel.real_env import EnvConfig

PUSH = "worldmodel/Push-v0"  # a Box of two motors, as the tiny world's
MAKERS = {
    "scene": lambda: gym.make(PUSH, size=SIZE),
    "pixels": lambda: EnvConfig(PUSH, size=SIZE).make(),
    "repeated": lambda: EnvConfig(PUSH, size=SIZE, action_repeat=2).make(),
    "wrapped": lambda: RecentFrames(gym.make(PUSH, size=SIZE)),
    "deep": lambda: gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(MAKERS["scene"](), 50)),
}


def one_sentence(call, match):
    with pytest.raises(WorldModelError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


def play(env, steps, seed=0):
    """All frames and actions."""
    env.action_space.seed(seed)
    frames, actions = [env.reset(seed=seed)[0].copy()], []
    for _ in range(steps):
        actions.append(env.action_space.sample())
        frames.append(env.step(actions[-1])[0].copy())
    return np.stack(frames), np.stack(actions) if actions else np.zeros((0, 2), np.float32)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("steps", [0, 1, 9])
def test_the_dream_is_that_of_the_frames_and_actions(name, steps):
    live, env = MAKERS[name](), DreamEnv(tiny_world_model())
    frames, actions = play(live, steps)
    first, info = env.reset(seed=1, options={"env": live})
    assert np.array_equal(first, frames[-1]) and info["context"] == -1
    one = [env.step(np.ones(2, np.float32))[0] for _ in range(4)]
    env.reset(seed=1, options={"frames": frames, "actions": actions})
    assert np.array_equal(one, [env.step(np.ones(2, np.float32))[0] for _ in range(4)])
    live.close()


def test_one_for_all_dreams_or_one_each_whatever_their_pasts_are_long():
    model = tiny_world_model()
    env, lives = DreamVectorEnv(model, 3), [MAKERS["scene"]() for _ in range(3)]
    for steps, live in zip((5, 1, 5), lives, strict=True):
        play(live, steps, seed=steps)
    options = {"env": lives}
    frames, _ = env.reset(seed=[4, 5, 6], options=options)
    after = env.step(np.zeros((3, 2), np.float32))[0]
    for index, live in enumerate(lives):
        alone = DreamEnv(model)
        assert np.array_equal(alone.reset(seed=4 + index, options={"env": live})[0], frames[index])
        assert np.abs(alone.step(np.zeros(2, np.float32))[0].astype(int) - after[index]).max() <= 1
    frames, _ = env.reset(options={"env": lives[1]})
    assert np.array_equal(frames[0], frames[2])
    mask = np.array([True, False, False])
    frames, _ = env.reset(options={"env": [lives[0]], "reset_mask": mask})
    assert np.array_equal(frames[0], recent_past(lives[0])[0].frames[-1])
    one_sentence(lambda: env.reset(options={"env": lives[:2]}), "2 live environments were given for 3")


def test_the_record_is_bounded_and_holds_copies():
    live = MAKERS["wrapped"]()
    play(live, LENGTH + 10)
    record, _ = recent_past(live)
    assert len(record.frames) == LENGTH and len(record.actions) == LENGTH - 1
    action = np.zeros(2, np.float32)
    frame = live.step(action)[0]
    action[:] = 1
    kept = record.frames[-1].copy()
    frame[:] = 0
    assert np.array_equal(record.frames[-1], kept) and not record.actions[-1].any()


@pytest.mark.parametrize("name", ["scene", "pixels"])
def test_a_restored_state_has_no_past(name):
    live = MAKERS[name]()
    play(live, 4)
    live.unwrapped.set_state(live.unwrapped.get_state())
    assert len(recent_past(live)[0].frames) == 1
    live.step(np.zeros(2, np.float32))
    assert len(recent_past(live)[0].frames) == 2


@pytest.mark.parametrize("name", MAKERS)
def test_an_episode_that_is_over_has_no_future(name):
    live, env = MAKERS[name](), DreamEnv(tiny_world_model())
    one_sentence(lambda: env.reset(options={"env": live}), "was not reset")
    live.reset(seed=0)
    for _ in range(100):
        if any(live.step(np.zeros(2, np.float32))[2:4]):
            break
    one_sentence(lambda: env.reset(options={"env": live}), "is over: reset it")
    live.reset()
    env.reset(options={"env": live})


class Plain(gym.Env):
    """Observes frames and keeps no record; its buffer is always the same."""

    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    def __init__(self):
        self.frame = np.zeros((SIZE, SIZE, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.frame, {}

    def step(self, action):
        self.frame += 1
        return self.frame, 0.0, False, False, {}


def test_any_environment_of_frames_can_be_wrapped():
    env, plain = DreamEnv(tiny_world_model()), Plain()
    plain.reset()
    one_sentence(
        lambda: env.reset(options={"env": plain}), "keeps no record of its recent frames: wrap it in"
    )
    live = RecentFrames(Plain(), length=4)
    frames, _ = play(live, 6)
    assert np.array_equal(recent_past(live)[0].frames, frames[-4:])
    assert np.array_equal(env.reset(options={"env": live})[0], frames[-1])
    live.step(np.full(2, 3.0, np.float32))
    one_sentence(lambda: env.reset(options={"env": live}), "action that is not of its space")
    assert live.spec is None and RecentFrames(MAKERS["scene"]()).spec.additional_wrappers


def test_what_cannot_be_gone_on_from_says_why():
    env, vector = DreamEnv(tiny_world_model()), DreamVectorEnv(tiny_world_model(), 2)
    env.reset(seed=0)
    before = env.get_state().to_bytes()
    large, discrete, state = (
        gym.make(PUSH, **settings)
        for settings in (
            {"size": 16},
            {"size": SIZE, "action_type": "discrete"},
            {"size": SIZE, "obs_type": "state"},
        )
    )
    for live in (large, discrete, state):
        live.reset(seed=0)
    one_sentence(lambda: env.reset(options={"env": large}), r"frames uint8 \[16, 16, 3\]")
    one_sentence(lambda: env.reset(options={"env": discrete}), "action space Discrete")
    one_sentence(lambda: env.reset(options={"env": state}), "does not observe frames")
    one_sentence(
        lambda: env.reset(options={"env": gym.vector.SyncVectorEnv([MAKERS["scene"]])}), "type SyncVectorEnv"
    )
    one_sentence(lambda: env.reset(options={"env": "Push"}), "type str")
    live = MAKERS["scene"]()
    live.reset(seed=0)
    one_sentence(lambda: env.reset(options={"env": live, "context": 1}), "exclude each other")
    one_sentence(lambda: env.reset(options={"env": live, "actions": []}), "needs 'frames'")
    features = DreamEnv(tiny_world_model(), obs_type="features")
    one_sentence(lambda: features.reset(options={"env": live}), "has shown one frame")
    live.step(np.zeros(2, np.float32))
    features.reset(options={"env": live})
    assert env.get_state().to_bytes() == before
    one_sentence(lambda: vector.reset(options={"env": []}), "0 live environments")
    for wrong in (lambda: RecentFrames(state), lambda: RecentFrames(large, length=1)):
        with pytest.raises(EnvError, match="RecentFrames"):
            wrong()
