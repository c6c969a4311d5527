"""Vector environments that each break one property of episodes and of members, and the check that must find it."""

from typing import Any

import numpy as np
from broken_vector_envs import BROKEN_CONTRACTS, DISABLED, NEXT, SAME, Broken, Changed, RewardsListed
from drift_env import DriftVectorEnv, observe
from gymnasium import spaces


class NoFinal(DriftVectorEnv):
    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        told = super().restart_ended(ended, infos)
        return {key: value for key, value in told.items() if "final" not in key}


class NoFinalInfo(DriftVectorEnv):
    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        told = super().restart_ended(ended, infos)
        return {key: value for key, value in told.items() if "final_info" not in key}


class FinalOfAll(DriftVectorEnv):
    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        everyone = np.ones(self.num_envs, bool)
        return {**super().restart_ended(ended, infos), "_final_obs": everyone}


class FinalIsWide(DriftVectorEnv):
    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        told = super().restart_ended(ended, infos)
        for i in np.flatnonzero(ended):
            told["final_obs"][i] = told["final_obs"][i].astype(np.float64)
        return told


class ShowsTheOldEpisode(DriftVectorEnv):
    """SAME_STEP and NEXT_STEP: begins anew, but returns the observations of before."""

    old: Any = None

    def begin(self, mask: np.ndarray) -> None:
        old = [observe(self.kind, x, int(n)) for x, n in zip(self.where, self.steps, strict=True)]
        super().begin(mask)
        self.old = {int(i): old[i] for i in np.flatnonzero(mask)} if self.where[mask].size else {}

    def step(self, actions: Any) -> Any:
        self.old = {}
        obs, *rest = super().step(actions)
        for i, row in self.old.items():
            obs[i] = row
        return obs, *rest


class PaysForTheRestart(Changed):
    at = 1

    def step(self, actions: Any) -> Any:
        self.over = self.ended.copy()
        return super().step(actions)

    def change(self, value: Any) -> Any:
        return np.where(self.over, 1.0, value)


class EndsInTheRestart(PaysForTheRestart):
    at = 2

    def change(self, value: Any) -> Any:
        return value | self.over


class ActsInTheRestart(DriftVectorEnv):
    pushes: Any = 0.0

    def step(self, actions: Any) -> Any:
        self.pushes = self.forces(actions)
        return super().step(actions)

    def begin(self, mask: np.ndarray) -> None:
        super().begin(mask)
        self.where[mask] += np.broadcast_to(self.pushes, mask.shape)[mask]
        self.pushes = 0.0


class SaysAnotherMode(DriftVectorEnv):
    """Restarts in the same step, whatever its metadata say."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mode = SAME


class RestartLeftPending(DriftVectorEnv):
    def begin(self, mask: np.ndarray) -> None:
        ended = self.ended.copy()
        super().begin(mask)
        if mask.all():
            self.ended = ended


class MaskIgnored(DriftVectorEnv):
    def begin(self, mask: np.ndarray) -> None:
        super().begin(np.ones(self.num_envs, bool))


class MaskedResetSeedsAll(DriftVectorEnv):
    def seed_members(self, seeds: list[int | None], mask: np.ndarray) -> None:
        super().seed_members(seeds, np.ones(self.num_envs, bool))


class WritesIntoTheMask(DriftVectorEnv):
    def reset(self, **arguments: Any) -> Any:
        result = super().reset(**arguments)
        if arguments.get("options"):
            arguments["options"]["reset_mask"][:] = False
        return result


class MaskedResetForgetsSeeds(DriftVectorEnv):
    def seed_members(self, seeds: list[int | None], mask: np.ndarray) -> None:
        if mask.all():
            super().seed_members(seeds, mask)


class MaskedResetTellsOfAll(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return super().infos(np.ones(self.num_envs, bool))


class OneSeedForAll(DriftVectorEnv):
    def seeds_of(self, seed: Any) -> list[int | None]:
        return [seed] * self.num_envs if isinstance(seed, int) else super().seeds_of(seed)


class FirstSeedForAll(DriftVectorEnv):
    def seeds_of(self, seed: Any) -> list[int | None]:
        seeds = super().seeds_of(seed)
        return seeds if seeds[0] is None else [seeds[0] + i for i in range(self.num_envs)]


class NoneIsZero(DriftVectorEnv):
    """A list with None reseeds nobody."""

    def seeds_of(self, seed: Any) -> list[int | None]:
        seeds = super().seeds_of(seed)
        return [None] * self.num_envs if None in seeds else seeds


class OneStream(DriftVectorEnv):
    """All members begin from one stream: whoever ends first takes what comes first."""

    def seed_members(self, seeds: list[int | None], mask: np.ndarray) -> None:
        super().seed_members(seeds, mask)
        if seeds[0] is not None:
            self.shared = np.random.default_rng(seeds[0])

    def begin(self, mask: np.ndarray) -> None:
        super().begin(mask)
        self.where[mask] += getattr(self, "shared", np.random.default_rng()).normal(size=mask.sum())


class MembersPushEachOther(DriftVectorEnv):
    def advance(self, forces: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return super().advance(forces + 0.01 * forces.mean(), mask)


class AllRestartTogether(DriftVectorEnv):
    def begin(self, mask: np.ndarray) -> None:
        super().begin(np.full(self.num_envs, mask.any()))


class SizeMatters(DriftVectorEnv):
    def advance(self, forces: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return super().advance(forces / self.num_envs, mask)


class OtherSingleSpace(DriftVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.single_action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)
        self.action_space = spaces.Box(-2.0, 2.0, (self.num_envs, 1), np.float32)


class PaysMore(RewardsListed):
    def change(self, value: Any) -> Any:
        return value * 1.001


class EndsAreSwapped(DriftVectorEnv):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, truncated, terminated, infos


class FinalIsBeforeTheStep(DriftVectorEnv):
    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        told = super().restart_ended(ended, infos)
        for i in np.flatnonzero(ended):
            told["final_obs"][i] = told["final_obs"][i] - np.float32(1)
        return told


class TellsLess(DriftVectorEnv):
    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {key: value for key, value in super().infos(mask).items() if "moved" not in key}


BROKEN = [
    *BROKEN_CONTRACTS,
    Broken(NoFinal, "autoreset", "but infos has final_obs of no member", (SAME,)),
    Broken(NoFinalInfo, "autoreset", "but infos has final_info of no member", (SAME,)),
    Broken(FinalOfAll, "autoreset", r"final_obs of members \[0, 1, 2\]", (SAME,)),
    Broken(FinalIsWide, "autoreset", "is not in the observation space", (SAME,)),
    Broken(ShowsTheOldEpisode, "autoreset", "not the first of the next", (SAME,)),
    Broken(ShowsTheOldEpisode, "autoreset", "the last observation again", (NEXT,)),
    Broken(PaysForTheRestart, "autoreset", "its reward is 1.0", (NEXT,)),
    Broken(EndsInTheRestart, "autoreset", "ends again", (NEXT,)),
    Broken(ActsInTheRestart, "autoreset", "is not ignored", (NEXT,)),
    Broken(SaysAnotherMode, "autoreset", "belongs to SAME_STEP", (NEXT, DISABLED)),
    Broken(RestartLeftPending, "reset_after_end", "right after an end", (NEXT,)),
    Broken(MaskIgnored, "reset_mask", "leaves member 1 out, but its observation", (DISABLED,)),
    Broken(MaskedResetSeedsAll, "reset_mask", "disturbs a member", (DISABLED,)),
    Broken(WritesIntoTheMask, "reset_mask", "changes its reset_mask", (DISABLED,)),
    Broken(MaskedResetForgetsSeeds, "reset_mask", r"is no reset\(seed=0\) of member 0", (DISABLED,)),
    Broken(MaskedResetTellsOfAll, "reset_mask", r"infos tell its \['moved', 'where'\]", (DISABLED,)),
    Broken(OneSeedForAll, "int_seed", r"is not reset\(seed=\[0, 1, 2\]\)"),
    Broken(FirstSeedForAll, "list_seeds", "with its members reversed"),
    Broken(NoneIsZero, "list_seeds", "for the members that it seeds"),
    Broken(OneStream, "independence", "other actions of the other members"),
    Broken(MembersPushEachOther, "independence", "other actions of the other members"),
    Broken(AllRestartTogether, "independence", "other actions of the other members", (SAME, NEXT)),
    Broken(SizeMatters, "batch_size", "an environment of size 1"),
    Broken(OtherSingleSpace, "single_spaces", "but the single environment has"),
    Broken(PaysMore, "parity", "reward differs"),
    Broken(EndsAreSwapped, "parity", "t[er]+minated differs|truncated differs"),
    Broken(FinalIsBeforeTheStep, "parity", "final observation differs", (SAME,)),
    Broken(TellsLess, "parity_of_infos", "moved"),
]
