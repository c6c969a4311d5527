"""M9: policies and action sequences played in the dream and in reality from the same moments."""

# P policies, N starts, T steps, K candidate sequences

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.ranking import Decisions, Ranking, decide, rank_policies, signed_bias
from worldmodel.evaluation.moments.action_changes import scaled_actions
from worldmodel.evaluation.moments.rollouts import Contexts
from worldmodel.evaluation.parts import Parts, digest
from worldmodel.evaluation.rows.policies import (
    OPEN_LOOP,
    Candidate,
    Eyes,
    Make,
    PerEpisode,
    Recorded,
    linear,
    mixed,
    open_loop,
    random_linear,
    recent_frames,
    varied,
)
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import Bootstrap, Interval, mean
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress
from worldmodel.spaces import ActionCodec

Floats = NDArray[np.float64]
Restore = Callable[[gym.Env[Any, Any], int], None]  # brings an environment back to start number i
OPTIMISED, SHARES = 4, (0.25, 0.5, 0.75)
CANDIDATES = ("recorded", "nothing", "held", "held again", "random")


@dataclass(frozen=True)
class PolicyReturns:
    """Returns over T steps of one policy from N starts [N] on both sides."""

    name: str
    optimised: bool
    real: Floats
    dream: Floats


@dataclass(frozen=True)
class ClosedLoop:
    """steps: T; ranking and bias by horizon (T and T/2); bias: mean of J_dream - J_real over starts and policies,
    in units of J_best - J_random; exploit_gap: that bias of the policies optimised in the dream minus that of the
    others; decisions: see Decisions."""

    steps: int
    starts: int
    policies: list[PolicyReturns]
    span: float
    ranking: dict[int, Ranking]
    bias: dict[int, Interval | None]
    exploit_gap: Interval | None
    decisions: Decisions | None


class Stage:
    """Where policies are played: N moments, in the real environment and in dreams."""

    def __init__(
        self, contexts: Contexts, restore: Restore, codec: ActionCodec, seed: int, parts: Parts
    ) -> None:
        self.contexts, self.codec, self._restore = contexts, codec, restore
        self._seed, self._parts = seed, parts
        self._envs: list[gym.Env[Any, Any]] = []

    def close(self) -> None:
        """Close its environments."""
        for env in self._envs:
            env.close()
        self._envs = []

    def real(self, candidate: Candidate, steps: int) -> Floats:
        """Rewards [N,T], 0 after an episode's end."""

        def played() -> dict[str, np.ndarray]:
            return {"rewards": self._play(candidate.make, steps)}

        return self._parts.get(played, closed="real", policy=candidate.version, steps=steps)["rewards"]

    def dream(
        self,
        model: WorldModel,
        policies: Sequence[Candidate],
        steps: int,
        identity: str | None,
        max_batch: int,
    ) -> dict[str, Floats]:
        """Imagined rewards [N,T] of every policy by its name, 0 after its imagined end. As many policies as
        fit are dreamt side by side, those that cannot be known again apart from the others."""
        found: dict[str, Floats] = {}
        at_once = max(1, max_batch // len(self.contexts))
        sides = [[c for c in policies if (c.version is None) == unknown] for unknown in (False, True)]
        groups = [side[start : start + at_once] for side in sides for start in range(0, len(side), at_once)]
        for group in progress(groups, desc="policies in the dream", unit="group", disable=len(groups) < 2):

            def played(group: list[Candidate] = group) -> dict[str, np.ndarray]:
                return {"rewards": self._imagine(model, [candidate.make for candidate in group], steps)}

            versions = None if group[0].version is None else [candidate.version for candidate in group]
            name = {"closed": "dream", "policies": versions, "identity": identity, "steps": steps}
            rewards = self._parts.get(played, **name)["rewards"]
            found |= {c.name: part for c, part in zip(group, rewards, strict=True)}
        return found

    def _play(self, make: Make, steps: int) -> Floats:
        count = len(self.contexts)
        self._envs = self._envs or [self.contexts.env.make() for _ in range(count)]
        for i, env in enumerate(self._envs):
            self._restore(env, i)
        policy, alive = make(count, self._seed), np.ones(count, bool)
        recent, rewards = recent_frames(self.contexts.frames), np.zeros((count, steps))
        for step in range(steps):
            actions = policy.act(recent)
            frames = recent[:, -1].copy()
            for i in np.flatnonzero(alive).tolist():
                frame, reward, ended, cut, _ = self._envs[i].step(self.codec.restore(actions[i]))
                frames[i], rewards[i, step], alive[i] = frame, reward, not (ended or cut)
            recent = np.concatenate([recent[:, 1:], frames[:, None]], axis=1)
            if not alive.any():
                break
        return rewards

    @torch.no_grad()
    def _imagine(self, model: WorldModel, makes: Sequence[Make], steps: int) -> Floats:
        """[P,N,T]."""
        contexts, count = self.contexts.repeated(len(makes)), len(self.contexts)
        order = np.arange(len(makes) * count).reshape(count, len(makes)).T.ravel()
        contexts = contexts.select(order)  # policy by policy
        past = torch.from_numpy(self.codec.encode(contexts.context_actions))
        seeds = self._seed + torch.from_numpy(contexts.ids)
        dreams = Dreams.begin(model, torch.from_numpy(contexts.frames), past, seeds)
        policies = [make(count, self._seed) for make in makes]
        recent, rewards = recent_frames(contexts.frames), np.zeros((len(contexts), steps))

        def act(_: Dreams) -> torch.Tensor:
            views = np.split(recent, len(makes))
            actions = np.concatenate([p.act(view) for p, view in zip(policies, views, strict=True)])
            return torch.from_numpy(self.codec.encode(actions))

        over = dreams.episodes.ended
        for step, made in enumerate(dreams.steps(act, steps)):
            rewards[:, step] = made.reward.masked_fill(over, 0).cpu().double().numpy()
            over = dreams.episodes.ended
            frames = float_to_frames(made.frame).cpu().numpy()
            recent = np.concatenate([recent[:, 1:], frames[:, None]], axis=1)
        return rewards.reshape(len(makes), count, steps)


def population(
    stage: Stage, eyes: Eyes, given: Mapping[str, Mapping[str, Any]], config: PhysicsConfig
) -> list[Candidate]:
    """At least config.policies candidates: open-loop ones, random linear ones, mixtures of the best of these with
    chance, and variations of it. The best is found in the real environment, so that no dream had a part in it."""
    rng, codec = np.random.default_rng(config.seed), stage.codec
    blind = open_loop(codec, given)
    count = max(4, config.policies - len(blind) - len(SHARES) - 2)
    weights = random_linear(eyes, codec, count, rng)
    seeing = [linear(f"linear {i + 1}", eyes, w, codec) for i, w in enumerate(weights)]
    bar = _bar(seeing, "finding a good policy")
    returns = [stage.real(candidate, config.policy_steps).sum(1).mean() for candidate in bar]
    best = int(np.argmax(returns))
    nearby = [linear(f"best, varied {i + 1}", eyes, varied(weights[best], rng), codec) for i in range(2)]
    mixtures = [mixed(f"best, {share:.0%} random", seeing[best], share, codec) for share in SHARES]
    return [*blind, *seeing, *nearby, *mixtures]


def optimised_in(
    model: WorldModel, stage: Stage, eyes: Eyes, config: PhysicsConfig, identity: str | None
) -> list[Candidate]:
    """The best of some linear policies by their returns in the dream, improved there once more."""
    rng, codec = np.random.default_rng(config.seed + 1), stage.codec

    def imagined(pool: list[Floats], name: str) -> Floats:
        made = [linear(f"{name} {i}", eyes, weights, codec) for i, weights in enumerate(pool)]
        rewards = stage.dream(model, made, config.policy_steps, identity, config.max_batch)
        return np.array([part.sum(1).mean() for part in rewards.values()])

    pool = random_linear(eyes, codec, 2 * OPTIMISED, rng)
    parent = pool[int(np.argmax(imagined(pool, "sought")))]
    children = [parent, *(varied(parent, rng) for _ in range(2 * OPTIMISED - 1))]
    chosen = np.argsort(imagined(children, "sought more"))[::-1][:OPTIMISED]
    return [linear(f"from the dream {k + 1}", eyes, children[i], codec, True) for k, i in enumerate(chosen)]


def measure_closed_loop(
    model: WorldModel,
    stage: Stage,
    candidates: Sequence[Candidate],
    optimised: Sequence[Candidate],
    choices: Stage | None,
    config: PhysicsConfig,
    identity: str | None,
) -> ClosedLoop:
    """candidates are ranked; optimised are those found in this model's own dreams; choices: where decisions are
    tested."""
    steps, every = config.policy_steps, [*candidates, *optimised]
    dreamt = stage.dream(model, every, steps, identity, config.max_batch)
    rows = {
        candidate.name: (candidate.optimised, stage.real(candidate, steps), dreamt[candidate.name])
        for candidate in _bar(every, "policies in reality")
    }
    halves = dict.fromkeys((steps, max(1, steps // 2)))
    ranked = [name for name, row in rows.items() if not row[0]]
    real = {h: np.array([rows[n][1][:, :h].sum(1) for n in ranked]) for h in halves}
    dream = {h: np.array([rows[n][2][:, :h].sum(1) for n in ranked]) for h in halves}
    clusters = stage.contexts.episodes
    spans = {h: float(real[h].mean(1).max() - real[h][ranked.index("random")].mean()) for h in halves}
    seed = config.seed
    return ClosedLoop(
        steps=steps,
        starts=len(stage.contexts),
        policies=[PolicyReturns(name, row[0], row[1].sum(1), row[2].sum(1)) for name, row in rows.items()],
        span=spans[steps],
        ranking={
            h: rank_policies(
                real=real[h].mean(1), dream=dream[h].mean(1), seed=seed, resamples=config.resamples
            )
            for h in halves
        },
        bias={
            h: signed_bias(
                real=real[h].mean(0), dream=dream[h].mean(0), clusters=clusters, span=spans[h], seed=seed
            )
            for h in halves
        },
        exploit_gap=_exploit_gap(rows, clusters, spans[steps], config),
        decisions=_decisions(model, choices, config, identity) if choices is not None else None,
    )


def _exploit_gap(
    rows: Mapping[str, tuple[bool, Floats, Floats]],
    clusters: NDArray[np.int64],
    span: float,
    config: PhysicsConfig,
) -> Interval | None:
    bias = {True: [], False: []}  # type: dict[bool, list[Floats]]
    for optimised, real, dream in rows.values():
        bias[optimised].append((dream - real).sum(1))
    if not bias[True] or not span > 0:
        return None
    gap = (np.mean(bias[True], axis=0) - np.mean(bias[False], axis=0)) / span
    return Bootstrap(clusters, config.resamples, config.seed).one(mean(gap))


def _decisions(model: WorldModel, stage: Stage, config: PhysicsConfig, identity: str | None) -> Decisions:
    contexts, steps = stage.contexts, stage.contexts.horizon
    sequences = _sequences(contexts, stage.codec, config.seed)
    made = [_of(name, actions) for name, actions in zip(CANDIDATES, sequences, strict=True)]
    dreamt = stage.dream(model, made, steps, identity, config.max_batch)
    real = [stage.real(candidate, steps).sum(1) for candidate in made]
    dream = [dreamt[candidate.name].sum(1) for candidate in made]
    return decide(
        real=np.stack(real, 1), dream=np.stack(dream, 1), clusters=contexts.episodes, seed=config.seed
    )


def _of(name: str, actions: NDArray[Any]) -> Candidate:
    return Candidate(f"choice: {name}", lambda _, __: Recorded(actions), version=digest(actions.tolist()))


def _sequences(contexts: Contexts, codec: ActionCodec, seed: int) -> list[NDArray[Any]]:
    """CANDIDATES, each [N,h,...]."""
    blank = np.zeros((len(contexts), 1, *contexts.frames.shape[2:]), np.uint8)

    def drawn(name: str, offset: int) -> NDArray[Any]:
        policy = PerEpisode(OPEN_LOOP[name], codec, len(contexts), seed + offset)
        return np.stack([policy.act(blank) for _ in range(contexts.horizon)], axis=1)

    idle = scaled_actions(contexts.actions, codec, 0.0)
    return [contexts.actions, idle, drawn("held", 1), drawn("held", 2), drawn("random", 3)]


def needs_rewards(model: Any) -> WorldModel:
    """Raises WorldModelError for what gives frames alone."""
    if not isinstance(model, WorldModel):
        raise WorldModelError("This model gives frames alone: without imagined rewards there are no returns.")
    return model


def _bar(items: Sequence[Any], desc: str) -> Any:
    return progress(items, desc=desc, unit="policy", disable=len(items) < 2)
