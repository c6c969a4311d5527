"""Every way into a dream is the same dream: the same seeds and actions give the same frames, rewards and ends."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from tiny_world import tiny_world_model

from worldmodel.envs.dream import DreamVectorEnv
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams, Ending, noise_seeds
from worldmodel.model.world_model import WorldModel

SEEDS, STEPS = [11, 12, 13, 14], 6


def sometimes_ending() -> WorldModel:
    """Every step ends with a chance of one half."""
    model = tiny_world_model(max_episode_steps=None)
    model.dynamics.denoiser.termination_probability = lambda logit: torch.full_like(logit, 0.5)  # type: ignore[method-assign]
    return model


def actions() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (len(SEEDS), STEPS, 2)).astype(np.float32)


def rollout_of(model: WorldModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, rewards and ends of the engine itself, which go on past ends."""
    dreams = Dreams.fresh(model, [(seed, 0) for seed in SEEDS], ending=Ending())
    made = dreams.rollout(torch.from_numpy(model.world.codec.encode(actions())))
    return made.frames.numpy(), made.rewards.double().numpy(), made.terminated.numpy()


def test_make_vec_and_its_tensor_face() -> None:
    model = sometimes_ending()
    frames, rewards, ended = rollout_of(model)
    assert ended.any() and not ended.all()
    plain, tensors = (
        gym.make_vec("worldmodel/Dream-v0", num_envs=len(SEEDS), checkpoint=model) for _ in range(2)
    )
    face = tensors.unwrapped
    assert isinstance(face, DreamVectorEnv)
    plain.reset(seed=SEEDS)
    face.reset_tensors(SEEDS)
    running = np.ones(len(SEEDS), bool)
    for t in range(STEPS):
        seen, paid, terminated, _, info = plain.step(actions()[:, t])
        encoded = torch.from_numpy(model.world.codec.encode(actions()[:, t]))
        step = face.step_tensors(encoded)
        final = seen.copy()
        for index in np.flatnonzero(terminated):
            final[index] = info["final_obs"][index]
        np.testing.assert_array_equal(float_to_frames(step.observation[:, :3]).numpy(), seen)
        np.testing.assert_array_equal(float_to_frames(step.final[:, :3]).numpy(), final)
        np.testing.assert_array_equal(step.reward.double().numpy(), paid)
        np.testing.assert_array_equal(step.terminated.numpy(), terminated)
        np.testing.assert_array_equal(final[running], frames[running, t])
        np.testing.assert_array_equal(paid[running], rewards[running, t])
        np.testing.assert_array_equal(terminated[running], ended[running, t])
        running &= ~terminated


def test_make_alone_and_branch() -> None:
    """Across batch sizes frames may differ by two grey levels, ends not at all."""
    model = sometimes_ending()
    frames, rewards, ended = rollout_of(model)
    for index, seed in enumerate(SEEDS):
        env = gym.make("worldmodel/Dream-v0", checkpoint=model, disable_env_checker=True)
        env.reset(seed=seed)
        start = env.unwrapped.get_state()  # type: ignore[attr-defined]
        futures = env.unwrapped.branch(start, actions()[index : index + 1])  # type: ignore[attr-defined]
        np.testing.assert_array_equal(futures.terminated[0], ended[index])
        for t in range(STEPS):
            frame, reward, terminated, _, _ = env.step(actions()[index, t])
            np.testing.assert_array_equal(frame, futures.frames[0, t])
            assert np.abs(frame.astype(int) - frames[index, t]).max() <= 2
            assert float(reward) == futures.rewards[0, t]
            assert abs(float(reward) - rewards[index, t]) < 1e-4
            assert terminated == ended[index, t]
            if terminated:
                break


def test_own_frames_are_the_same_dream_as_the_context_they_come_from() -> None:
    """What play and the planner begin with."""
    model = sometimes_ending()
    dreams = Dreams.fresh(model, [(seed, 0) for seed in SEEDS])
    starts = model.contexts.select(dreams.episodes.context)
    again = Dreams.begin(model, starts.frames, starts.actions, noise_seeds([(seed, 0) for seed in SEEDS]))
    encoded = torch.from_numpy(model.world.codec.encode(actions()))
    one, other = dreams.rollout(encoded), again.rollout(encoded)
    assert torch.equal(one.frames, other.frames) and torch.equal(one.terminated, other.terminated)
    assert torch.equal(one.rewards, other.rewards)


def test_the_modes_of_autoreset_agree_up_to_the_first_end() -> None:
    model = sometimes_ending()
    same, following = (
        DreamVectorEnv(model, len(SEEDS), autoreset_mode=mode)
        for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP)
    )
    for env in (same, following):
        env.reset(seed=SEEDS)
    for t in range(2):
        one, other = same.step(actions()[:, t]), following.step(actions()[:, t])
        if t == 0:
            np.testing.assert_array_equal(one[2], other[2])
            np.testing.assert_array_equal(one[0][~one[2]], other[0][~one[2]])
