"""SCOPIL in the marble maze as one would write it in plain Python and eager PyTorch; started by `scopil_vs_pytorch.py`.

    peer/bin/python benchmarks/peer_scopil.py --threads 1 --steps 1000

needs nothing but PyTorch, and prints one JSON object: steps a second of the simulator alone and of the training, and a
walk of random actions, by which `scopil_vs_pytorch.py` makes sure that both simulate the same maze. What it learns is
what `goodpath.methods.scopil` learns, with the networks, batches, rates and losses of its default preset.
"""

import argparse
import json
import math
import random
import time
from typing import Any

import torch
from torch import nn

CELL = 43.615993
RADIUS = CELL / 2
GOAL = (-144.0, -144.0)
DIAGONAL = math.sqrt(0.5)
BAND, NECK = CELL + RADIUS / DIAGONAL, CELL - RADIUS / DIAGONAL
NORMALS = ((1.0, 0.0), (0.0, -1.0), (DIAGONAL, DIAGONAL), (-DIAGONAL, -DIAGONAL), (DIAGONAL, -DIAGONAL))
LOW = (-174.46, -174.46, -6.70, -6.01, -0.5, -0.5, -0.1, -0.1)
HIGH = (161.79, 169.34, 6.22, 5.00, 0.5, 0.5, 0.1, 0.1)
STARTS = ((9, 9), (4, 9), (6, 8), (8, 7), (2, 6), (5, 5), (2, 4), (4, 2))  # some of the 37 cells

BATCH, PAIRS, DISCOUNT, TARGET_RATE = 256, 740, 0.99, 0.005


class Maze:
    """One game, in numbers of Python; `state` is x, y, their velocities, both tilts and their last changes."""

    def reset(self) -> list[float]:
        """A new game; what is observed."""
        row, column = random.choice(STARTS)
        self.state = [CELL * (column - 5.5), CELL * (row - 5.5), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        self.time = 0
        return self.observe()

    def observe(self) -> list[float]:
        """Eight numbers, scaled to about [-1, 1]."""
        scales = zip(self.state, LOW, HIGH, strict=True)
        return [2 * (value - low) / (high - low) - 1 for value, low, high in scales]

    def step(self, action: int) -> tuple[list[float], float, bool, bool, int]:
        """What is observed, the reward, whether the goal is reached, whether time is over, violations."""
        signs = [(0, 1, -1)[part] for part in divmod(action, 3)]
        for _ in range(5):
            self._substep(*signs)
            if done := math.hypot(self.state[0] - GOAL[0], self.state[1] - GOAL[1]) < CELL / 3:
                break
        self.time += 1
        x, y = self.state[:2]
        raw = 10.0 if done else -math.hypot(x - GOAL[0], y - GOAL[1]) / 225
        inside = abs(x + 90) <= 19.8398435 and abs(y + 90) <= 19.8398435
        violations = int(y <= CELL * (2 - 5.5)) + int(inside)
        return self.observe(), (raw - 10) / 15, done, not done and self.time == 200, violations

    def _substep(self, sign_x: int, sign_y: int) -> None:
        x, y, vx, vy, tilt_x, tilt_y, _, _ = self.state
        tilt_x, spin_x = tilted(tilt_x, sign_x)
        tilt_y, spin_y = tilted(tilt_y, sign_y)
        vx, vy = vx - 0.15 * tilt_y, vy + 0.15 * tilt_x
        wall_x = blocked(x + vx + math.copysign(RADIUS, vx) * (vx != 0), y)
        wall_y = blocked(x, y + vy + math.copysign(RADIUS, vy) * (vy != 0))
        vx, vy = bounced(vx) if wall_x else vx, bounced(vy) if wall_y else vy
        vx, vy = barrier(x, y, vx, vy)
        self.state = [x + vx, y + vy, vx, vy, tilt_x, tilt_y, spin_x, spin_y]


def tilted(tilt: float, sign: int) -> tuple[float, float]:
    """A tilt after a substep, and its change as the original tells it."""
    steps = round(tilt / 0.1) + sign
    return max(-5, min(5, steps)) * 0.1, 0.0 if abs(steps) >= 5 else sign * 0.1


def bounced(speed: float) -> float:
    """The speed after a face that stands across."""
    return 0.0 if abs(speed) < 0.1 else -0.3 * speed


def blocked(x: float, y: float) -> bool:
    """Whether a point is in a wall."""
    if abs(x) >= 4.5 * CELL or abs(y) >= 4.5 * CELL:
        return True
    near, far = 2.5 * CELL, 3.5 * CELL
    return any((a >= near and b >= far) or (a >= far and b >= near) for a, b in ((x, -y), (-x, y)))


def barrier(x: float, y: float, vx: float, vy: float) -> tuple[float, float]:
    """The velocity of a ball that may be about to run into the barrier."""
    side = 1.0 if y + vy - (x + vx) > 0 else -1.0
    x, y, vx, vy = side * x, side * y, side * vx, side * vy
    if all(distance < 0 for distance in in_front(x + vx, y + vy)):
        here = in_front(x, y)
        normal_x, normal_y = NORMALS[here.index(max(here))]
        speed = vx * normal_x + vy * normal_y
        if speed < 0:
            change = bounced(speed) - speed
            vx, vy = vx + change * normal_x, vy + change * normal_y
    return side * vx, side * vy


def in_front(x: float, y: float) -> list[float]:
    """How far a point is in front of each face of the barrier's upper left half."""
    total, difference = x + y, y - x
    diagonal = ((total - BAND) * DIAGONAL, -(total + BAND) * DIAGONAL, (NECK - difference) * DIAGONAL)
    return [x, -y, *diagonal]


def perceptron(outputs: int) -> nn.Sequential:
    """Eight inputs, two layers of 32, and the outputs."""
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(layer.bias, 0.01)
    return network


def values(critic: Any, observations: Any) -> Any:
    """(batch, actions) of a dueling critic."""
    heads = critic(observations)
    return heads[:, :1] + heads[:, 1:] - heads[:, 1:].mean(1, keepdim=True)


def entropy(log_probs: Any) -> Any:
    """() mean entropy of (batch, actions) log-probabilities."""
    return -(log_probs.exp() * log_probs).sum(1).mean()


class Learner:
    """Networks, optimisers and replay; `pairs` are the expert's observations and the numbers of its actions."""

    def __init__(self, pairs: tuple[Any, Any], capacity: int) -> None:
        self.pairs = pairs
        self.actor, self.critics = perceptron(9), [perceptron(10) for _ in range(2)]
        self.targets = [perceptron(10) for _ in range(2)]
        for copy, critic in zip(self.targets, self.critics, strict=True):
            copy.load_state_dict(critic.state_dict())
        self.log_price, self.multiplier = torch.zeros((), requires_grad=True), torch.tensor(1.05)
        self.multiplier.requires_grad_()

        def adam(parameters: Any, rate: float) -> Any:
            return torch.optim.Adam(parameters, lr=rate, eps=1e-4)

        self.optimizers = [adam(critic.parameters(), 3e-4) for critic in self.critics]
        self.optimizers += [adam(self.actor.parameters(), 3e-4), adam([self.log_price], 2e-3)]
        self.dual = adam([self.multiplier], 3e-4)
        self.seen, self.next_seen = torch.zeros(capacity, 8), torch.zeros(capacity, 8)
        self.actions = torch.zeros(capacity, dtype=torch.int64)
        self.rewards, self.over = torch.zeros(capacity), torch.zeros(capacity)
        self.size = 0

    def act(self, observation: list[float]) -> int:
        """A draw of the policy."""
        with torch.no_grad():
            probabilities = torch.softmax(self.actor(torch.tensor(observation)), 0)
            return int(torch.multinomial(probabilities, 1))

    def add(self, seen: list[float], action: int, reward: float, next_seen: list[float], over: bool) -> None:
        """Remembers a step."""
        i = self.size
        self.seen[i], self.next_seen[i] = torch.tensor(seen), torch.tensor(next_seen)
        self.actions[i], self.rewards[i], self.over[i] = action, reward, float(over)
        self.size += 1

    def constraint(self, chosen: Any) -> Any:
        """() how far the constraint is above 0 at some of the pairs."""
        log_probs = torch.log_softmax(self.actor(self.pairs[0][chosen]), 1)
        surprise = -log_probs.gather(1, self.pairs[1][chosen, None]).mean()
        return surprise - self.log_price.detach().exp() * entropy(log_probs)

    def learn(self) -> None:
        """One update of everything."""
        rows = torch.randint(self.size, (BATCH,))
        chosen = torch.randperm(PAIRS)[:BATCH]
        seen, actions = self.seen[rows], self.actions[rows, None]
        price = self.log_price.detach().exp()
        with torch.no_grad():
            ahead = self.next_seen[rows]
            log_probs = torch.log_softmax(self.actor(ahead), 1)
            least = torch.minimum(*(values(copy, ahead) for copy in self.targets))
            following = (log_probs.exp() * (least - price * log_probs)).sum(1)
            targets = self.rewards[rows] + DISCOUNT * (1 - self.over[rows]) * following
        said = [values(critic, seen) for critic in self.critics]
        loss = torch.zeros(())
        for value in said:
            loss = loss + ((value.gather(1, actions)[:, 0] - targets) ** 2).mean()
        least = torch.minimum(*said).detach()
        log_probs = torch.log_softmax(self.actor(seen), 1)
        spread = entropy(log_probs)
        loss = loss - (log_probs.exp() * least).sum(1).mean() - price * spread
        loss = loss + self.multiplier.detach() * self.constraint(chosen)
        loss = loss - self.log_price * (0.4 * math.log(9) - spread.detach())
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            excess = self.constraint(chosen)
        self.dual.zero_grad()
        (-self.multiplier * excess).backward()
        self.dual.step()
        with torch.no_grad():
            self.multiplier.clamp_(min=0.0)
            for copy, critic in zip(self.targets, self.critics, strict=True):
                for slow, fast in zip(copy.parameters(), critic.parameters(), strict=True):
                    slow.lerp_(fast, TARGET_RATE)


def train(steps: int) -> tuple[float, float]:
    """Steps a second of acting and learning, and milliseconds of the processor for one; a full batch comes before."""
    learner = Learner((torch.rand(PAIRS, 8) * 2 - 1, torch.randint(9, (PAIRS,))), steps + 2 * BATCH)
    maze = Maze()
    seen = maze.reset()
    began = processor = 0.0
    for step in range(steps + 2 * BATCH):
        if step == 2 * BATCH:
            began, processor = time.perf_counter(), time.process_time()
        action = learner.act(seen)
        ahead, reward, goal, late, _ = maze.step(action)
        learner.add(seen, action, reward, ahead, goal)
        seen = maze.reset() if goal or late else ahead
        if step > BATCH:
            learner.learn()
    return steps / (time.perf_counter() - began), (time.process_time() - processor) / steps * 1e3


def simulate(steps: int) -> float:
    """Steps a second of the maze alone, with random actions."""
    maze = Maze()
    maze.reset()
    began = time.perf_counter()
    for _ in range(steps):
        _, _, goal, late, _ = maze.step(random.randrange(9))
        if goal or late:
            maze.reset()
    return steps / (time.perf_counter() - began)


def walk(steps: int) -> list[Any]:
    """State, action, next state and reward of some steps."""
    maze, rows = Maze(), []
    maze.reset()
    for _ in range(steps):
        before, action = maze.state, random.randrange(9)
        _, reward, goal, late, _ = maze.step(action)
        rows.append([before, action, maze.state, reward])
        if goal or late:
            maze.reset()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    rate, milliseconds = train(args.steps)
    result = {
        "torch": torch.__version__,
        "threads": args.threads,
        "maze_steps_per_second": simulate(10 * args.steps),
        "training_steps_per_second": rate,
        "training_processor_milliseconds": milliseconds,
        "walk": walk(1000),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
