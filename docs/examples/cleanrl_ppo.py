"""PPO in one file, in the manner of CleanRL, in a batch of dreams; Box and Discrete actions.

python docs/examples/cleanrl_ppo.py --checkpoint push --updates 50
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import nn
from torch.distributions import Categorical, Independent, Normal

import worldmodel  # noqa: F401  (registers the environments)

GAMMA, LAMBDA, CLIP, EPOCHS, MINIBATCHES = 0.99, 0.95, 0.2, 4, 4


class Agent(nn.Module):
    def __init__(self, frames: gym.spaces.Box, actions: gym.Space) -> None:
        super().__init__()
        self.box, (_, _, channels) = isinstance(actions, gym.spaces.Box), frames.shape
        outputs = actions.shape[0] if self.box else int(actions.n)
        layers = [nn.Conv2d(channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Flatten()]
        self.trunk = nn.Sequential(*layers, nn.LazyLinear(256), nn.ReLU())
        self.policy, self.value = nn.Linear(256, outputs), nn.Linear(256, 1)
        self.log_std = nn.Parameter(torch.full((outputs,), -0.5))

    def forward(self, frames: torch.Tensor) -> tuple[torch.distributions.Distribution, torch.Tensor]:
        trunk = self.trunk(frames.permute(0, 3, 1, 2) / 255)
        mean, value = self.policy(trunk), self.value(trunk)[:, 0]
        return Independent(Normal(mean, self.log_std.exp()), 1) if self.box else Categorical(
            logits=mean
        ), value


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--dreams", type=int, default=16, help="dreams in one forward pass")
    parser.add_argument("--rollout", type=int, default=64, help="steps of each dream between two updates")
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    envs = gym.make_vec("worldmodel/Dream-v0", num_envs=options.dreams, checkpoint=options.checkpoint)
    envs = RecordEpisodeStatistics(envs)
    space = envs.single_action_space
    agent = Agent(envs.single_observation_space, space)
    frames = torch.from_numpy(envs.reset(seed=0)[0])
    agent(frames)  # makes the lazy layer
    optimizer = torch.optim.Adam(agent.parameters(), 2.5e-4, eps=1e-5)
    for update in range(options.updates):
        rows = []
        for _ in range(options.rollout):
            with torch.no_grad():
                distribution, value = agent(frames)
                action = distribution.sample()
                log_prob = distribution.log_prob(action)
            # The dream refuses what is out of bounds, and Discrete may start anywhere.
            chosen = action.numpy()
            chosen = np.clip(chosen, space.low, space.high) if agent.box else chosen + space.start
            following, reward, terminated, truncated, infos = envs.step(chosen)
            cut = np.flatnonzero(truncated & ~terminated)
            if len(cut):  # add the value of where it was cut off: final_obs, not the next episode's start
                last = torch.from_numpy(np.stack(list(infos["final_obs"][cut])))
                with torch.no_grad():
                    reward[cut] += GAMMA * agent(last)[1].numpy()
            done = torch.from_numpy(terminated | truncated).float()
            rows.append((frames, action, log_prob, value, torch.from_numpy(reward).float(), done))
            frames = torch.from_numpy(following)
        seen, actions, log_probs, values, rewards, dones = map(torch.stack, zip(*rows, strict=True))
        advantages = torch.zeros_like(rewards)
        with torch.no_grad():
            next_value, advantage = agent(frames)[1], torch.zeros(options.dreams)
        for t in reversed(range(options.rollout)):
            going_on = 1 - dones[t]
            delta = rewards[t] + GAMMA * going_on * next_value - values[t]
            advantages[t] = advantage = delta + GAMMA * LAMBDA * going_on * advantage
            next_value = values[t]
        batch = [x.flatten(0, 1) for x in (seen, actions, log_probs, advantages, advantages + values)]
        for index in (torch.randperm(len(batch[0])).chunk(MINIBATCHES) for _ in range(EPOCHS)):
            for chosen_rows in index:
                f, a, old, adv, target = (x[chosen_rows] for x in batch)
                distribution, value = agent(f)
                ratio, adv = (distribution.log_prob(a) - old).exp(), (adv - adv.mean()) / (adv.std() + 1e-8)
                policy_loss = -torch.min(ratio * adv, ratio.clamp(1 - CLIP, 1 + CLIP) * adv).mean()
                loss = (
                    policy_loss
                    + 0.5 * (value - target).square().mean()
                    - 0.01 * distribution.entropy().mean()
                )
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        steps = (update + 1) * options.rollout * options.dreams
        returns = list(envs.return_queue) or [float("nan")]
        print(
            f"{steps} imagined steps: mean return of the last {len(envs.return_queue)} {np.mean(returns):.2f}"
        )


if __name__ == "__main__":
    main()
