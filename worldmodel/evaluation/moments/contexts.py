"""Where contexts come from: held-out episodes of a dataset, or fresh episodes with other options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.recorder import make_policy
from worldmodel.errors import DatasetError, EnvError
from worldmodel.evaluation.moments.action_changes import scaled_actions
from worldmodel.evaluation.moments.futures import draw_futures
from worldmodel.evaluation.moments.rollouts import ID, Branches, Contexts
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

HELD: Mapping[str, Any] = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 8}
RANDOM_BRANCHES = 6
MAX_TRIES = 20  # episodes tried per context wanted: some end before the horizon


def contexts_from(
    dataset: EpisodeDataset, count: int, context_frames: int, horizon: int, seed: int
) -> Contexts:
    """Of held-out episodes, spread evenly over them. Raises DatasetError where no simulator state was recorded.

    Where an episode is too short, its actions start over, and what follows its end is not valid.
    """
    if "state" not in dataset.manifest.info_keys:
        raise DatasetError(
            f"{dataset.path} holds no simulator states; collect it from a MuJoCo environment to measure its physics."
        )
    heldout = dataset.split("heldout")
    futures = draw_futures(dataset, heldout, context_frames, horizon, count, seed)
    rows = []
    for number, start in zip(futures.episodes.tolist(), futures.starts.tolist(), strict=True):
        episode, moment = dataset.episode(number), start + context_frames - 1
        ahead = moment + np.arange(futures.horizon) % (len(episode) - moment)
        rows.append(
            {
                "frames": episode.frames[start : moment + 1],
                "context_actions": episode.actions[start:moment],
                "actions": episode.actions[ahead],
                "states": episode.infos["state"][moment],
                "seeds": np.int64(episode.seed),
            }
        )
    columns: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Contexts(
        env=dataset.env,
        **columns,
        options=({},) * count,
        episodes=futures.episodes.numpy(),
        ids=np.arange(count),
    )


def fresh_contexts(
    env: EnvConfig,
    count: int,
    context_frames: int,
    horizon: int,
    seed: int,
    policy: Mapping[str, Any] = HELD,
    options: Mapping[str, Any] | None = None,
    split: str = ID,
    whole: bool = True,
) -> Contexts:
    """One context per fresh episode, begun at a random moment, with reset `options` in every episode.

    whole: only episodes that go on for the whole horizon. Raises EnvError when too many end before.
    """
    made = env.make()
    rows: list[dict[str, Any]] = []
    numbers = np.random.SeedSequence(seed)
    try:
        bar = progress(total=count, desc="collecting contexts", unit="context", disable=count < 32)
        with bar:
            for child in numbers.spawn(MAX_TRIES * count):
                row = _play(made, policy, child, context_frames, horizon, dict(options or {}), whole)
                if row is not None:
                    rows.append(row)
                    bar.update()
                if len(rows) == count:
                    break
    finally:
        made.close()
    if len(rows) < count:
        raise EnvError(
            f"Only {len(rows)} of {MAX_TRIES * count} episodes of {env.id} last for {horizon} steps: choose fewer."
        )
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    every = np.arange(count)
    return Contexts(
        env=env, **columns, options=(dict(options or {}),) * count, episodes=every, ids=every, split=split
    )


def _play(
    env: gym.Env[Any, Any],
    policy: Mapping[str, Any],
    seeds: np.random.SeedSequence,
    context_frames: int,
    horizon: int,
    options: dict[str, Any],
    whole: bool,
) -> dict[str, Any] | None:
    """A context of an episode that lasts so long; None where it does not."""
    rng = np.random.default_rng(seeds)
    actor, codec = make_policy(policy, env.action_space, rng.spawn(1)[0]), ActionCodec(env.action_space)
    env_seed = int(rng.integers(2**31))
    frame, info = env.reset(seed=env_seed, options=options or None)
    if "state" not in info:
        raise EnvError("The environment tells no simulator state, so no context can be restored.")
    limit = getattr(env, "max_episode_steps", None) or 1000
    spare = max(0, limit - horizon - context_frames + 1)
    start = int(rng.integers(min(spare, horizon) + 1))
    moment = start + context_frames - 1
    frames, states, actions = [np.array(frame)], [info["state"]], []
    actor.reset()
    for step in range(moment + horizon):
        action = actor.act(frames[-1])
        actions.append(codec.store(action))
        frame, _, ended, truncated, info = env.step(action)
        frames.append(np.array(frame))
        states.append(info["state"])
        if (ended or truncated) and step + 1 < moment + horizon:
            if whole or step < moment:
                return None
            actions += [codec.store(actor.act(frame)) for _ in range(moment + horizon - step - 1)]
            break
    return {
        "frames": np.stack(frames[start : moment + 1]),
        "context_actions": np.stack(actions[start:moment]) if moment > start else _none(codec),
        "actions": np.stack(actions[moment:]),
        "states": states[moment],
        "seeds": np.int64(env_seed),
    }


def _none(codec: ActionCodec) -> np.ndarray:
    return np.zeros((0, *codec.stored_shape), codec.stored_dtype)


def joined(parts: list[Contexts]) -> Contexts:
    """Contexts of one split after those of another, as one set; the first part names it."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("frames", "context_actions", "actions", "states", "seeds", "episodes", "ids")
    }
    return replace(parts[0], **arrays, options=tuple(o for part in parts for o in part.options))


def branches_of(contexts: Contexts, seed: int, policy: Mapping[str, Any] = HELD) -> Branches:
    """Eight futures of every context: nothing done, what was recorded, and six of a policy that sees no pictures."""
    env = contexts.env.make()
    codec, space = ActionCodec(env.action_space), env.action_space
    env.close()
    blank = np.zeros(contexts.frames.shape[2:], np.uint8)
    children = np.random.default_rng(seed).spawn(len(contexts) * RANDOM_BRANCHES)
    drawn = []
    for child in children:
        actor = make_policy(policy, space, child)
        actor.reset()
        drawn.append(np.stack([codec.store(actor.act(blank)) for _ in range(contexts.horizon)]))
    random = np.stack(drawn).reshape(len(contexts), RANDOM_BRANCHES, *contexts.actions.shape[1:])
    idle = scaled_actions(contexts.actions, codec, 0.0)
    return Branches(contexts, np.concatenate([idle[:, None], contexts.actions[:, None], random], axis=1))
