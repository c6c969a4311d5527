"""Vector environments that each break one property of what they say, return and are seeded with, and the check that
must find it. Those that break episodes and members: broken_episodes.py."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from drift_env import DriftVectorEnv
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED


@dataclass(frozen=True)
class Broken:
    """An environment, the modes in which it is broken, the check that must find it, and its words."""

    env: type[DriftVectorEnv]
    check: str
    message: str
    modes: tuple[AutoresetMode, ...] = (SAME, NEXT, DISABLED)


class ModeNotSaid(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.metadata["autoreset_mode"]


class ModeAsText(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.metadata["autoreset_mode"] = self.mode.value


class TwoModes(DriftVectorEnv):
    autoreset_mode = DISABLED


class OneTooMany(DriftVectorEnv):
    def __init__(self, num_envs: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(num_envs + 1, *args, **kwargs)


class ObservationSpaceNotBatched(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.observation_space = self.single_observation_space


class ActionSpaceOfOtherBounds(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action_space = spaces.Box(-2.0, 2.0, (self.num_envs, 1), np.float32)


class NoInfosAtReset(DriftVectorEnv):
    def reset(self, **arguments: Any) -> Any:
        return super().reset(**arguments)[0]


class NoOptions(DriftVectorEnv):
    def reset(self, *, seed: Any = None) -> Any:
        return super().reset(seed=seed)


class WideObservationsAtReset(DriftVectorEnv):
    def reset(self, **arguments: Any) -> Any:
        obs, infos = super().reset(**arguments)
        return obs.astype(np.float64), infos


class Changed(DriftVectorEnv):
    """One of the five things that a step returns is not what it should be."""

    at = 0

    def change(self, value: Any) -> Any:
        raise NotImplementedError

    def step(self, actions: Any) -> Any:
        result = list(super().step(actions))
        result[self.at] = self.change(result[self.at])
        return tuple(result)


class OldStep(DriftVectorEnv):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, terminated | truncated, infos


class ObservationsListed(Changed):
    def change(self, value: Any) -> Any:
        return value.tolist()


class RewardsListed(Changed):
    at = 1

    def change(self, value: Any) -> Any:
        return value.tolist()


class RewardsInAColumn(RewardsListed):
    def change(self, value: Any) -> Any:
        return value[:, None]


class WholeRewards(RewardsListed):
    def change(self, value: Any) -> Any:
        return value.astype(int)


class NotANumber(RewardsListed):
    def change(self, value: Any) -> Any:
        return np.where(self.steps > 3, np.nan, value)


class TerminationsAsNumbers(RewardsListed):
    at = 2

    def change(self, value: Any) -> Any:
        return value.astype(float)


class OneTruncation(RewardsListed):
    at = 3

    def change(self, value: Any) -> Any:
        return value.any()


class NoMasks(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {"where": self.where.copy()}


class MasksOfNumbers(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {"where": self.where.copy(), "_where": mask.astype(int)}


class OneValueForAll(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {"time": 1.0, "_time": mask.copy()}


class OnePicture(DriftVectorEnv):
    def render(self) -> Any:
        return super().render()[0][0]


class FloatPictures(DriftVectorEnv):
    def render(self) -> Any:
        return tuple(picture / 255 for picture in super().render())


class ClosedOnce(DriftVectorEnv):
    def close(self, **kwargs: Any) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        super().close(**kwargs)


class NeverClosed(DriftVectorEnv):
    def close(self, **kwargs: Any) -> None:
        pass


class NothingAfterClose(DriftVectorEnv):
    def step(self, actions: Any) -> Any:
        return None if self.closed else super().step(actions)


class OneBuffer(DriftVectorEnv):
    def observations(self) -> Any:
        if not hasattr(self, "buffer"):
            self.buffer = super().observations()
        self.buffer[...] = super().observations()
        return self.buffer


class OneRewardBuffer(Changed):
    at = 1

    def change(self, value: Any) -> Any:
        if not hasattr(self, "buffer"):
            self.buffer = value
        self.buffer[...] = value
        return self.buffer


class InfoNotCopied(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {"where": self.where, "_where": mask.copy()}


class GlobalChance(DriftVectorEnv):
    def advance(self, forces: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return super().advance(forces + np.random.normal(size=self.num_envs), mask)  # noqa: NPY002


class RemembersThePast(DriftVectorEnv):
    total = 0.0

    def advance(self, forces: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.total += 1.0
        return super().advance(forces + self.total, mask)


class TellsTheTime(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {"time": np.full(self.num_envs, time.perf_counter()), "_time": mask.copy()}


class SeedIgnored(DriftVectorEnv):
    def seeds_of(self, seed: Any) -> list[int | None]:
        return super().seeds_of(None if seed is None else 0)


class UnseededRepeats(DriftVectorEnv):
    last: Any = None

    def seeds_of(self, seed: Any) -> list[int | None]:
        self.last = self.last if seed is None else seed
        return super().seeds_of(self.last)


class NewOnesAreAlike(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rngs = [np.random.default_rng(i) for i in range(self.num_envs)]


class ForgetsItsSeed(DriftVectorEnv):
    def seeds_of(self, seed: Any) -> list[int | None]:
        return super().seeds_of(int(np.random.default_rng().integers(1000)) if seed is None else seed)


class ObservationsAreTheState(DriftVectorEnv):
    """Later calls do not change what was returned, but the state is read back from it."""

    state: Any = None

    def observations(self) -> Any:
        self.state = super().observations()
        return self.state

    def step(self, actions: Any) -> Any:
        self.where = self.state[:, 0].astype(float)
        return super().step(actions)


class ClipsActionsInPlace(DriftVectorEnv):
    def step(self, actions: Any) -> Any:
        np.clip(actions, -0.5, 0.5, out=actions)
        return super().step(actions)


class KeepsActions(DriftVectorEnv):
    """Acts one step late, on the array that it was given then."""

    last: Any = None

    def reset(self, **arguments: Any) -> Any:
        self.last = None
        return super().reset(**arguments)

    def step(self, actions: Any) -> Any:
        last, self.last = actions if self.last is None else self.last, actions
        return super().step(last.copy())


BROKEN_CONTRACTS = [
    Broken(ModeNotSaid, "metadata", "is None"),
    Broken(ModeAsText, "metadata", "give one of gymnasium.vector.AutoresetMode"),
    Broken(TwoModes, "metadata", "but env.autoreset_mode is", (SAME, NEXT)),
    Broken(OneTooMany, "spaces", "num_envs is 2"),
    Broken(ObservationSpaceNotBatched, "spaces", "observation_space is"),
    Broken(ActionSpaceOfOtherBounds, "spaces", "action_space is"),
    Broken(NoInfosAtReset, "reset", r"must return \(observations, infos\)"),
    Broken(NoOptions, "reset", "raises TypeError"),
    Broken(WideObservationsAtReset, "reset", "float64"),
    Broken(OldStep, "step", "a tuple of 4"),
    Broken(ObservationsListed, "step", "a list of 3"),
    Broken(RewardsListed, "step", "rewards must be a NumPy array of float"),
    Broken(RewardsInAColumn, "step", r"\[3, 1\]"),
    Broken(WholeRewards, "step", "int64"),
    Broken(NotANumber, "step", "hold NaN"),
    Broken(TerminationsAsNumbers, "step", "terminations must be"),
    Broken(OneTruncation, "step", "truncations must be"),
    Broken(NoMasks, "infos", "needs a mask '_where'"),
    Broken(MasksOfNumbers, "infos", "needs a mask '_where'"),
    Broken(OneValueForAll, "infos", "an array of 3 values"),
    Broken(OnePicture, "render", "a frame for each of the 3"),
    Broken(FloatPictures, "render", "uint8"),
    Broken(ClosedOnce, "close", "raises RuntimeError: closed already"),
    Broken(NeverClosed, "close", "env.closed is False"),
    Broken(NothingAfterClose, "close", "step after close"),
    Broken(OneBuffer, "results_kept", r"changed by a later call: it\[0\]"),
    Broken(OneRewardBuffer, "results_kept", r"changed by a later call: it\[1\]"),
    Broken(InfoNotCopied, "results_kept", r"\['where'\]"),
    Broken(GlobalChance, "same_seed", "two new environments"),
    Broken(RemembersThePast, "same_seed", "of a played environment"),
    Broken(TellsTheTime, "same_infos", "time"),
    Broken(SeedIgnored, "seeds_matter", "give the same rollout"),
    Broken(UnseededRepeats, "unseeded_reset", r"reset\(seed=0\) and the reset\(\) after it give the same"),
    Broken(NewOnesAreAlike, "unseeded_reset", "two new environments without a seed"),
    Broken(ForgetsItsSeed, "unseeded_reset", "not the same each time", (SAME, NEXT)),
    Broken(ObservationsAreTheState, "results_given", "writing into what was returned"),
    Broken(ClipsActionsInPlace, "actions_borrowed", "step changes its actions"),
    Broken(KeepsActions, "actions_borrowed", "writing into actions after the step"),
]
