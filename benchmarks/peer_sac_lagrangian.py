"""SAC-Lagrangian as a plain PyTorch loop, for comparisons; started by `sac_lagrangian_vs_pytorch.py`.

    peer/bin/python benchmarks/peer_sac_lagrangian.py SaguiStaticStudent-v0 --hidden 32 --batch 32 --steps 3000

It has the losses, networks, batch and ratio of updates of goodpath's `sac-lag` (see its docstring), written the way
such loops are: one environment, a replay buffer in NumPy, an update after every step, autograd and `torch.optim.Adam`,
nothing compiled. The critics of one kind are networks of their own. Prints one JSON object on its last line; what it
tells begins after `--warm` steps.
"""

import argparse
import json
import time
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

import goodpath.envs

DISCOUNT, RATE, TARGET_RATE, LIMIT, MULTIPLIER_RATE = 0.99, 1e-3, 0.005, 5.0, 1e-3


def mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Agent:
    def __init__(self, observation: int, action: int, hidden: int) -> None:
        self.action = action
        self.actor = mlp([observation, hidden, hidden, 2 * action])
        self.critics = [mlp([observation + action, hidden, hidden, 1]) for _ in range(3)]
        self.targets = [mlp([observation + action, hidden, hidden, 1]) for _ in range(3)]
        for target, critic in zip(self.targets, self.critics, strict=True):
            target.load_state_dict(critic.state_dict())
        weights = [p for critic in self.critics for p in critic.parameters()]
        self.log_temperature = torch.tensor(np.log(0.7), dtype=torch.float32, requires_grad=True)
        self.multiplier = torch.tensor(0.7, requires_grad=True)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), RATE)
        self.critic_adam = torch.optim.Adam(weights, RATE)
        self.temperature_adam = torch.optim.Adam([self.log_temperature], RATE)
        self.multiplier_adam = torch.optim.Adam([self.multiplier], MULTIPLIER_RATE)
        self.limit = LIMIT * (1 - DISCOUNT**1000) / (1 - DISCOUNT) / 1000

    def sample(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_std = self.actor(observations).chunk(2, dim=-1)
        log_std = -1.5 + 3.5 * torch.tanh(log_std / 3.5)
        gaussian = torch.distributions.Normal(mean, log_std.exp())
        raw = gaussian.rsample()
        volume = 2 * (np.log(2) - raw - nn.functional.softplus(-2 * raw))
        return torch.tanh(raw), (gaussian.log_prob(raw) - volume).sum(-1)

    def act(self, observation: Any) -> Any:
        with torch.no_grad():
            actions, _ = self.sample(torch.as_tensor(observation, dtype=torch.float32))
        return actions.numpy()

    def update(self, batch: list[torch.Tensor]) -> None:
        seen, actions, rewards, costs, following, terminated = batch
        temperature = self.log_temperature.exp().detach()
        with torch.no_grad():
            later, log_prob = self.sample(following)
            both = torch.cat([following, later], -1)
            first, second, cost = (target(both)[:, 0] for target in self.targets)
            goes_on = DISCOUNT * (1 - terminated)
            wanted = rewards + goes_on * (torch.min(first, second) - temperature * log_prob)
            cost_wanted = costs + goes_on * cost
        both = torch.cat([seen, actions], -1)
        said = [critic(both)[:, 0] for critic in self.critics]
        critic_loss = sum(
            0.5 * ((value - goal) ** 2).mean()
            for value, goal in zip(said, (wanted, wanted, cost_wanted), strict=True)
        )
        self.critic_adam.zero_grad()
        critic_loss.backward()
        self.critic_adam.step()

        for critic in self.critics:
            critic.requires_grad_(False)
        now, log_prob = self.sample(seen)
        both = torch.cat([seen, now], -1)
        first, second, cost = (critic(both)[:, 0] for critic in self.critics)
        worth = torch.min(first, second) - self.multiplier.detach() * cost
        actor_loss = (temperature * log_prob - worth).mean()
        self.actor_adam.zero_grad()
        actor_loss.backward()
        self.actor_adam.step()
        for critic in self.critics:
            critic.requires_grad_(True)

        temperature_loss = -self.log_temperature * (log_prob.mean().detach() - self.action)
        self.temperature_adam.zero_grad()
        temperature_loss.backward()
        self.temperature_adam.step()
        multiplier_loss = self.multiplier * (self.limit - said[2].mean().detach())
        self.multiplier_adam.zero_grad()
        multiplier_loss.backward()
        self.multiplier_adam.step()
        with torch.no_grad():
            self.multiplier.clamp_(min=0.0)
            for target, critic in zip(self.targets, self.critics, strict=True):
                for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
                    slow.lerp_(fast, TARGET_RATE)


def train(task: str, hidden: int, batch: int, steps: int, warm: int, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    goodpath.envs.register()
    env = gymnasium.make(f"goodpath/{task}", physics="fast", disable_env_checker=True)
    assert env.observation_space.shape is not None
    assert env.action_space.shape is not None
    size, width = env.observation_space.shape[0], env.action_space.shape[0]
    agent = Agent(size, width, hidden)
    shapes = [(size,), (width,), (), (), (size,), ()]
    buffer = [np.zeros((steps + warm + batch, *shape), np.float32) for shape in shapes]
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    begin, acting, learning = 0.0, 0.0, 0.0
    for step in range(batch + warm + steps):
        if step == batch + warm:
            begin, acting, learning = time.perf_counter(), 0.0, 0.0
        started = time.perf_counter()
        action = agent.act(observation) if step >= batch else rng.uniform(-1, 1, width)
        following, reward, terminated, truncated, info = env.step(action)
        row = (observation, action, reward, info["cost"], following, float(terminated))
        for field, value in zip(buffer, row, strict=True):
            field[step] = value
        observation = env.reset()[0] if terminated or truncated else following
        acted = time.perf_counter()
        acting += acted - started
        if step >= batch:
            chosen = rng.integers(0, step + 1, batch)
            agent.update([torch.as_tensor(field[chosen]) for field in buffer])
            learning += time.perf_counter() - acted
    seconds = time.perf_counter() - begin
    return {
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "acting_seconds": acting,
        "learning_seconds": learning,
        "updates_per_second": steps / learning,
        "threads": threads,
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--warm", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    print(json.dumps(train(args.task, args.hidden, args.batch, args.steps, args.warm, args.threads)))


if __name__ == "__main__":
    main()
