"""Planning in a dream: the cross-entropy method and model predictive path integrals, for every action space."""

# E episodes planned for at once, N candidate plans each, M actions of a plan, T = M * hold steps, D size of an action

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.errors import WorldModelError
from worldmodel.model.dreams import ENDLESS, Dreams, DreamStep
from worldmodel.model.world_model import DreamState, WorldModel
from worldmodel.noise import counter_normal

# objective(dreams, steps): what the futures of B dreams are worth, [B]. Each of `steps` advances all of them by one;
# those of an episode follow each other, as many for each episode.
Objective = Callable[[Dreams, Iterator[DreamStep]], Tensor]

METHODS = ("cem", "mppi")
_STREAM = (
    1_000  # steps of the noise stream between two decisions; more iterations than this would share noise
)
_LEAST_CHANCE = 0.02  # that no choice of a discrete action ever falls below, so that none is lost for good


@dataclass(frozen=True)
class PlannerConfig:
    """How to plan: `iterations` times, `candidates` plans of `actions` actions, each held for `hold` steps, are dreamt
    together, and the best decide how the next ones are drawn.

    method: "cem", which refits to the `elites` best (Rubinstein, 1999), or "mppi", which weighs all by
    exp(value / temperature), value in deviations of the candidates' values (Williams et al., 2017). std, least_std: of
    Box numbers, in halves of their range. gamma: discount a step. uncertainty_penalty: reward taken off per grey level
    of expected error; nothing where a dream cannot tell it, as from an episode's first frame alone. replan_every: steps
    of a plan that are taken before the next is made.
    """

    method: str = "cem"
    actions: int = 8
    hold: int = 2
    candidates: int = 48
    iterations: int = 3
    elites: int = 6
    temperature: float = 0.3
    std: float = 1.0
    least_std: float = 0.1
    gamma: float = 0.98
    uncertainty_penalty: float = 0.0
    replan_every: int = 1
    num_inference_steps: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise WorldModelError(f"planner.method is {self.method!r}, expected {' or '.join(METHODS)}.")
        for name in ("actions", "hold", "iterations", "elites", "replan_every", "num_inference_steps"):
            if getattr(self, name) < 1:
                raise WorldModelError(f"planner.{name} is {getattr(self, name)}, expected at least 1.")
        for name in ("temperature", "std", "least_std"):
            if getattr(self, name) <= 0:
                raise WorldModelError(f"planner.{name} is {getattr(self, name)}, expected more than 0.")
        if not 0 <= self.gamma <= 1 or self.uncertainty_penalty < 0:
            raise WorldModelError(
                f"planner.gamma is {self.gamma}, expected 0 to 1; planner.uncertainty_penalty is "
                f"{self.uncertainty_penalty}, expected at least 0."
            )
        if self.elites >= self.candidates or self.replan_every > self.horizon:
            raise WorldModelError(
                f"Of {self.candidates} candidates {self.elites} elites are chosen, and of {self.horizon} planned steps "
                f"{self.replan_every} are taken: both must be fewer."
            )

    @property
    def horizon(self) -> int:
        """Steps of a plan."""
        return self.actions * self.hold

    @property
    def frames_per_plan(self) -> int:
        """Frames imagined for one plan of one episode, exactly."""
        return self.iterations * self.candidates * self.horizon


@dataclass(frozen=True)
class Plans:
    """steps [E,T,D]: the best encoded actions found; value [E]: what they are expected to earn, discounted; mean
    [E,M,D]: around what they were drawn at last, which a next plan can begin from."""

    steps: Tensor
    value: Tensor
    mean: Tensor


class Planner:
    """Finds encoded actions for dreams at any state; the dreams themselves are not moved.

    critic: its value of the last frames stands for what follows a plan. objective: what a plan is worth in place of the
    reward; gamma, uncertainty_penalty and a critic are of the reward alone, and not used then. What is found for an
    episode depends on its state, seed and decision alone, not on which others are planned for beside it, to the float
    tolerance of the model.
    """

    def __init__(
        self,
        model: WorldModel,
        config: PlannerConfig,
        critic: ActorCritic | None = None,
        objective: Objective | None = None,
    ) -> None:
        if config.uncertainty_penalty and not model.is_calibrated(config.num_inference_steps):
            raise WorldModelError(
                f"planner.uncertainty_penalty needs a checkpoint that is calibrated for {config.num_inference_steps} "
                f"passes: run `worldmodel calibrate ... measurements.passes=[{config.num_inference_steps}]` first."
            )
        if critic is not None and critic.frame_shape != model.world.frame_shape:
            raise WorldModelError(
                f"The critic sees frames of shape {critic.frame_shape}, the dream draws {model.world.frame_shape}."
            )
        self.config = config
        self._model, self._critic = model, critic
        self._objective = objective or self._earned
        self._layout = model.world.codec.layout
        self._boxes = torch.from_numpy(self._layout.boxes).to(model.device)
        self._bounded = torch.from_numpy(self._layout.bounded).to(model.device)

    def begin(self, episodes: int) -> Tensor:
        """Where planning for new episodes begins, [E,M,D]: the middle of Box numbers, all choices alike."""
        mean = torch.zeros(len(self._layout.boxes), device=self._model.device)
        mean[~self._boxes] = 0.5
        for run in self._layout.one_hots:
            mean[run] = 1 / (run.stop - run.start)
        return mean.expand(episodes, self.config.actions, -1).clone()

    def shift(self, mean: Tensor) -> Tensor:
        """Where to begin when `replan_every` steps of a plan are taken: its rest, and nothing known of what follows.

        Averaged where a hold is broken up.
        """
        hold, taken = self.config.hold, self.config.replan_every
        rest = mean.repeat_interleave(hold, dim=1)[:, taken:]
        new = self.begin(len(mean)).repeat_interleave(hold, dim=1)[:, :taken]
        return self._keep_open(torch.cat([rest, new], dim=1).unflatten(1, (-1, hold)).mean(dim=2))

    @torch.no_grad()
    def plan(self, state: DreamState, mean: Tensor, seeds: Tensor, decisions: Tensor) -> Plans:
        """The best plans from the E dreams of `state`, drawn around `mean` [E,M,D] first (see `begin` and `shift`).

        seeds, decisions: int64 [E], whose chance it is and how many plans of the episode were made before.
        """
        hold = self.config.hold
        std = torch.where(self._boxes, self.config.std, 0.0).expand_as(mean)
        best = Plans(mean.repeat_interleave(hold, dim=1), mean.new_full((len(mean),), -torch.inf), mean)
        for iteration in range(self.config.iterations):
            draw = self._draw(mean, std, seeds, decisions * _STREAM + iteration)
            value = self._value(state, draw)
            mean, std = self._refit(draw, value)
            best = _better(best, draw.repeat_interleave(hold, dim=2), value, mean)
        return best

    def _draw(self, mean: Tensor, std: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        """Candidates [E,N,M,D]; the first of each episode is the likeliest."""
        noise = counter_normal(seeds, steps, (self.config.candidates, *mean.shape[1:])).to(mean.device)
        noise[:, 0] = 0.0
        centre = mean[:, None]
        action = centre + noise * std[:, None]
        action = torch.where(self._bounded, action.clamp(-1.0, 1.0), action)
        uniform = torch.special.ndtr(noise).clamp(1e-6, 1 - 1e-6)
        bits = (uniform < centre).to(action.dtype)
        action = torch.where(self._boxes, action, bits)
        for run in self._layout.one_hots:
            gumbel = -(-uniform[..., run].log()).log()
            choice = (centre[..., run].clamp(min=1e-6).log() + gumbel).argmax(-1)
            action[..., run] = torch.nn.functional.one_hot(choice, run.stop - run.start).to(action.dtype)
        return action

    def _value(self, state: DreamState, plans: Tensor) -> Tensor:
        """What plans [E,N,M,D] are worth, [E,N], all of them dreamt in one batch."""
        episodes, count = plans.shape[:2]
        actions = plans.flatten(0, 1).repeat_interleave(self.config.hold, dim=1)
        dreams = Dreams(self._model, state, self.config.num_inference_steps, ENDLESS).branch(count)
        steps = (dreams.step(action) for action in actions.unbind(dim=1))
        return self._objective(dreams, steps).unflatten(0, (episodes, count))

    def _earned(self, dreams: Dreams, steps: Iterator[DreamStep]) -> Tensor:
        """What dreams are expected to earn, [B], discounted. No end is drawn here: what follows a step is weighed by
        the chance that the episode survived it, which says the same with fewer candidates."""
        total = torch.zeros(len(dreams), device=self._model.device)
        weight = torch.ones_like(total)  # discount, and the chance that the episode has not ended before
        for step in steps:
            reward = step.reward
            if self.config.uncertainty_penalty:
                reward = reward - self.config.uncertainty_penalty * step.uncertainty.nan_to_num(nan=0.0)
            total += weight * reward
            weight *= self.config.gamma * (1 - step.termination_probability)
        if self._critic is not None:
            total += weight * self._critic(self._critic.sees(dreams.state)).value
        return total

    def _refit(self, plans: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation [E,M,D] from which the next candidates are drawn."""
        weight = self._weights(value)[..., None, None]
        mean = (weight * plans).sum(dim=1)
        spread = (weight * (plans - mean[:, None]).square()).sum(dim=1).sqrt()
        std = torch.where(self._boxes, spread.clamp(min=self.config.least_std), 0.0)
        return self._keep_open(mean), std

    def _weights(self, value: Tensor) -> Tensor:
        """How much each candidate counts, [E,N], adding up to 1."""
        if self.config.method == "cem":
            elites = value.topk(self.config.elites, dim=1).indices
            return torch.zeros_like(value).scatter(1, elites, 1 / self.config.elites)
        scale = value.std(dim=1, keepdim=True).clamp(min=1e-8)
        return ((value - value.amax(dim=1, keepdim=True)) / (scale * self.config.temperature)).softmax(dim=1)

    def _keep_open(self, mean: Tensor) -> Tensor:
        """Chances of choices, none of them lost."""
        choices = torch.lerp(mean, self.begin(1), _LEAST_CHANCE)
        return torch.where(self._boxes, mean, choices)


def _better(best: Plans, plans: Tensor, value: Tensor, mean: Tensor) -> Plans:
    """The better of the best so far and of plans [E,N,T,D], for each episode."""
    top, index = value.max(dim=1)
    found = plans[torch.arange(len(plans), device=plans.device), index]
    improved = top > best.value
    steps = torch.where(improved[:, None, None], found, best.steps)
    return Plans(steps, torch.where(improved, top, best.value), mean)
