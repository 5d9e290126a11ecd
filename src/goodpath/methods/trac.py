"""TraC: offline safe reinforcement learning by classifying trajectories (arXiv 2412.15429).

No value function, no cost critic, no multiplier. Two steps turn a data set and a cost limit l into a policy:

1. Cut the data into segments of L steps and ask the oracle. Of the safe ones (cost <= l L / Lmax) the top x by
   return are *desirable* (y = 1); the bottom y of them and all unsafe ones are *undesirable* (y = 0); the rest
   is dropped.
2. Clone a reference policy, then train the policy as a classifier of segments. Its logit is the score

       S(segment) = sum_t alpha gamma^t [log pi(a_t|s_t) - log pi_ref(a_t|s_t)]

   (under maximum entropy, alpha log(pi/pi_ref) is the advantage, so S says how little a segment regrets), and
   the loss is a weighted binary cross-entropy

       -mean lambda w [y log sigma(S) + (1 - y) log sigma(-S)]

   with w in [kappa, 1] growing with the return's rank value (with its opposite for the bottom ones), and
   lambda = 1 for desirable, eta * (number desirable / number undesirable in the batch) for undesirable ones.

Presets:

* `release` does what the authors' code does for Safety-Gymnasium: random segments drawn with replacement and
  labelled by themselves; a deterministic tanh network whose -(squared error) stands for log pi; cloning on the
  labelled segments only; dropout active in the policy but not in the reference, so S starts below 0; the
  probability clamped at 1e-6, which silences hopelessly wrong segments; a tenth of the learning rate with
  10,000 updates of warm-up; two data-loader workers that shuffle independently.
  `release-bullet` and `release-metadrive` are its settings for those families.
* `paper` follows the publication where the code departs from it: whole trajectories are labelled, the reference
  clones the whole data set, the policy is a distribution, the loss is not clamped.
* `default` is the best we know. Like `paper` it labels whole trajectories and clones all data; like `release` it
  keeps the deterministic network, which was the more stable. Segments are shorter and count every step alike
  (gamma 1), a quarter of the safe data is desirable, observations are whitened (the distance a lidar tells hides
  in a direction that hardly varies), dropout is off, and cloning takes many small batches of transitions with a
  learning rate that falls to zero, so that the far costlier classification needs few updates.

Engineering, with the same mathematics: segments are start indices gathered on the device; log pi_ref is
computed once for each step of the data when classification starts; a batch goes through the network in pieces
that fit the cache. Where the released code divides 0 by 0 (all safe returns equal) the weight is 1, and where
it fails (nothing is safe) the error says what to change; `top = 0`, which selects everything there, is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods.bc import make_policy
from goodpath.methods.contract import Data, Metrics, OfflineMethod, Phase
from goodpath.methods.segments import Segments, segment_length
from goodpath.policies import Policy
from goodpath.spec import Spec

Loss = Callable[[Policy, dict[str, Array], Array], tuple[Array, Metrics]]

ROWS_AT_ONCE = 2_304  # steps that go through the network together on a CPU: so activations stay in its cache


@dataclass(frozen=True)
class Config:
    """Options of TraC; the symbols are the paper's, the values those of the preset `default`."""

    steps: int = 20_000
    """Updates in all, cloning and classifying."""
    clone_fraction: float = 0.8
    """Share of the updates that clone the reference policy."""
    batch_size: int = 32
    """Segments in an update."""
    segment_ratio: float = 0.4
    """L / Lmax: length of a segment relative to the longest trajectory."""
    top: float = 0.25
    """x: share of the safe segments, those of highest return, that is desirable."""
    bottom: float = 0.5
    """y: share of the safe segments, those of lowest return, that is undesirable."""
    labels: Literal["segments", "trajectories"] = "trajectories"
    """Whether the oracle judges each segment, or whole trajectories whose segments inherit the label."""
    alpha: float = 0.1
    """Temperature of the score."""
    discount: float = 1.0
    """gamma of the score, counted from the start of the segment."""
    eta: float = 0.25
    """Weight of the undesirable segments relative to the desirable ones."""
    kappa: float = 0.7
    """Weight of the desirable segment of lowest return; the highest has weight 1."""
    clamp: float = 1e-6
    """Lower bound of a probability inside the logarithm; 0 uses the exact log-sigmoid."""
    clone_data: Literal["labelled", "safe", "all"] = "all"
    """What the reference clones: the labelled segments, whole safe trajectories, or all the data."""
    clone_batch_size: int = 512
    """Transitions in an update while cloning, each step of `clone_data` once; 0 takes as many as a batch holds,
    and for labelled data whole segments as often as they were drawn."""
    clone_learning_rate: float = 1e-3
    """Adam's learning rate while cloning."""
    learning_rate: float = 1.5e-4
    """Adam's learning rate while classifying."""
    warmup: int = 0
    """Updates over which the learning rate of classification grows linearly to its value."""
    decay: bool = True
    """Whether both learning rates fall to zero along half a cosine over their phase."""
    policy: Literal["deterministic", "gaussian"] = "deterministic"
    """Squared error as log-probability, or a squashed Gaussian."""
    normalize: Literal["none", "scale", "whiten"] = "whiten"
    """What is done to observations before the network: nothing, unit variances, or unit covariance."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers."""
    dropout: float = 0.0
    """Probability that a hidden unit is dropped while training; never in the reference."""
    shuffles: int = 1
    """Independent permutations that take turns in an epoch."""

    def __post_init__(self) -> None:
        """Checks what no later message could explain as well."""
        for name, low, high in (("segment_ratio", 0, 1), ("top", 0, 1)):
            value = getattr(self, name)
            if not low < value <= high:
                raise GoodpathError(f"{name} is {value:g}, but it has to be above {low} and at most {high}.")
        for name in ("bottom", "clone_fraction", "discount", "kappa"):
            if not 0 <= getattr(self, name) <= 1:
                raise GoodpathError(f"{name} is {getattr(self, name):g}, but it has to lie in [0, 1].")


class State(eqx.Module):
    """Everything that changes in training; `reference` is frozen once classification begins."""

    policy: Policy
    reference: Policy
    optimizer: optax.OptState
    key: Array
    step: Array


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state whose reference equals its policy."""
    policy_key, key = jax.random.split(key)
    policy = make_policy(config.policy, config.hidden, config.dropout, spec, policy_key)
    optimizer = _clone_optimizer(config).init(policy)
    return State(policy, policy, optimizer, key, jnp.zeros((), jnp.int32))


def _clone_optimizer(config: Config) -> optax.GradientTransformation:
    return optax.adam(_schedule(config, config.clone_learning_rate, 0, clone_steps(config)))


def _classify_optimizer(config: Config) -> optax.GradientTransformation:
    return optax.adam(
        _schedule(config, config.learning_rate, config.warmup, config.steps - clone_steps(config))
    )


def _schedule(config: Config, rate: float, warmup: int, steps: int) -> Callable[[Any], Any]:
    """Learning rate by the number of updates done in a phase of `steps` updates."""
    decay = optax.cosine_decay_schedule(1.0, max(steps, 1)) if config.decay else optax.constant_schedule(1.0)
    return lambda count: rate * jnp.minimum(1.0, (count + 1) / max(warmup, 1)) * decay(count)


def clone_loss(policy: Policy, data: Data, batch: dict[str, Array], length: int, key: Array) -> Array:
    """Sum of -log pi(a|s) over the (segments * length) steps of a batch whose mask is one."""
    steps = _steps(batch, length)
    log_prob = policy.log_prob(data.observations[steps], data.actions[steps], key)
    return -jnp.sum(batch["mask"] * log_prob.reshape(len(batch["mask"]), -1).sum(axis=1))


def score(config: Config, policy: Policy, data: Data, starts: Array, length: int, key: Array | None) -> Array:
    """S of the segments that begin at `starts` (segments,); `data.derived` holds log pi_ref of every step."""
    steps = _steps({"starts": starts}, length)
    log_prob = policy.log_prob(data.observations[steps], data.actions[steps], key)
    advantage = (log_prob - data.derived[steps]).reshape(-1, length)
    return config.alpha * advantage @ (config.discount ** jnp.arange(length, dtype=jnp.float32))


def log_likelihood(scores: Array, labels: Array, clamp: float) -> Array:
    """y log sigma(S) + (1 - y) log sigma(-S), its probabilities clamped from below where `clamp` is positive."""
    signed = jnp.where(labels > 0, scores, -scores)
    if clamp == 0:
        return jax.nn.log_sigmoid(signed)
    return jnp.log(jnp.maximum(jax.nn.sigmoid(signed), clamp))


def undesirable_weight(labels: Array, mask: Array, eta: float) -> Array:
    """lambda of the undesirable segments of a batch: eta * (number desirable) / (number undesirable)."""
    desirable = jnp.sum(mask * labels)
    return eta * desirable / jnp.maximum(jnp.sum(mask * (1 - labels)), 1)


def classify_loss(
    config: Config, policy: Policy, data: Data, batch: dict[str, Array], length: int, key: Array
) -> tuple[Array, Metrics]:
    """Sum of the weighted cross-entropies of the segments in a batch, and sums for the log.

    `batch["weights"]` holds lambda * w, zero where the mask is.
    """
    labels, mask = batch["labels"], batch["mask"]
    scores = score(config, policy, data, batch["starts"], length, key)
    loss = -jnp.sum(batch["weights"] * log_likelihood(scores, labels, config.clamp))
    sums = {
        "accuracy": jnp.sum(jnp.where((scores > 0) == (labels > 0), mask, 0.0)),
        "score_desirable": jnp.sum(mask * labels * scores),
        "score_undesirable": jnp.sum(mask * (1 - labels) * scores),
    }
    return loss, sums


def _steps(batch: dict[str, Array], length: int) -> Array:
    """(rows,) positions in the data: of transitions, or of all steps of segments."""
    if "steps" in batch:
        return batch["steps"]
    return (batch["starts"][:, None] + jnp.arange(length, dtype=jnp.int32)).reshape(-1)


def _accumulate(loss: Loss, policy: Policy, batch: dict[str, Array], rows: int, key: Array) -> Any:
    """`value_and_grad(loss, has_aux=True)` summed over pieces of a batch, each small enough for the cache.

    On a CPU the activations of a whole batch would go through main memory several times; elsewhere the batch
    stays whole.

    Args:
        loss: (policy, piece of the batch, key) -> (sum over the piece, further sums).
        policy: what the gradient is with respect to.
        batch: arrays with the same leading axis.
        rows: steps that each entry of the batch stands for.
        key: JAX random key; each piece gets its own.
    """
    size = len(batch["mask"])
    wanted = max(1, ROWS_AT_ONCE // rows) if jax.default_backend() == "cpu" else size
    piece_size = max(n for n in range(1, min(wanted, size) + 1) if size % n == 0)
    pieces = jax.tree.map(lambda leaf: leaf.reshape(-1, piece_size), batch)
    keys = jax.random.split(key, size // piece_size)
    differentiate = jax.value_and_grad(loss, has_aux=True)
    first = jax.tree.map(lambda leaf: leaf[0], pieces)
    shapes = jax.eval_shape(differentiate, policy, first, keys[0])
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total: Any, piece: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, differentiate(policy, *piece)), None

    return jax.lax.scan(add, zero, (pieces, keys))[0]


def _descend(
    optimizer: optax.GradientTransformation, state: State, gradient: Policy, count: Array
) -> tuple[Policy, optax.OptState]:
    mean = jax.tree.map(lambda leaf: leaf / count, gradient)
    changes, optimizer_state = optimizer.update(mean, state.optimizer)
    return optax.apply_updates(state.policy, changes), optimizer_state


def update_clone(config: Config, state: State, data: Data, batch: dict[str, Array]) -> tuple[State, Metrics]:
    """One step of Adam on the mean of -log pi(a|s) over the steps of the batch."""
    rows = 1 if "steps" in batch else segment_length(config.segment_ratio, data.longest)

    def loss(policy: Policy, piece: dict[str, Array], key: Array) -> tuple[Array, Metrics]:
        return clone_loss(policy, data, piece, rows, key), {}

    key = jax.random.fold_in(state.key, state.step)
    (total, _), gradient = _accumulate(loss, state.policy, batch, rows, key)
    count = jnp.sum(batch["mask"]) * rows
    policy, optimizer = _descend(_clone_optimizer(config), state, gradient, count)
    return State(policy, policy, optimizer, state.key, state.step + 1), {"loss": total / count}


def enter_classify(config: Config, state: State) -> State:
    """Freezes the reference and starts a fresh Adam."""
    return replace(state, reference=state.policy, optimizer=_classify_optimizer(config).init(state.policy))


def reference_log_probs(config: Config, state: State, data: Data) -> Array:
    """log pi_ref(a|s) of every step of the data (N,), without dropout."""

    def one(step: tuple[Array, Array]) -> Array:
        return state.reference.log_prob(*step)

    return jax.lax.map(one, (data.observations, data.actions), batch_size=4096)


def update_classify(
    config: Config, state: State, data: Data, batch: dict[str, Array]
) -> tuple[State, Metrics]:
    """One step of Adam on the mean weighted cross-entropy of the batch."""
    labels, mask = batch["labels"], batch["mask"]
    weights = (
        jnp.where(labels > 0, 1.0, undesirable_weight(labels, mask, config.eta)) * batch["weights"] * mask
    )
    length = segment_length(config.segment_ratio, data.longest)

    def loss(policy: Policy, piece: dict[str, Array], key: Array) -> tuple[Array, Metrics]:
        return classify_loss(config, policy, data, piece, length, key)

    key = jax.random.fold_in(state.key, state.step)
    (total, sums), gradient = _accumulate(loss, state.policy, {**batch, "weights": weights}, length, key)
    count, desirable = jnp.sum(mask), jnp.sum(mask * labels)
    policy, optimizer = _descend(_classify_optimizer(config), state, gradient, count)
    metrics = {
        "loss": total / count,
        "accuracy": sums["accuracy"] / count,
        "score_desirable": sums["score_desirable"] / jnp.maximum(desirable, 1),
        "score_undesirable": sums["score_undesirable"] / jnp.maximum(count - desirable, 1),
    }
    return State(policy, state.reference, optimizer, state.key, state.step + 1), metrics


def clone_steps(config: Config) -> int:
    """Updates that clone the reference."""
    return round(config.clone_fraction * config.steps)


def phases(config: Config) -> tuple[Phase, ...]:
    """Cloning, then classification."""
    clone = clone_steps(config)
    return (
        Phase("clone", clone, update_clone),
        Phase("classify", config.steps - clone, update_classify, enter_classify, reference_log_probs),
    )


RELEASE = Config(
    steps=100_001,
    clone_fraction=0.3,
    batch_size=96,
    segment_ratio=0.75,
    top=0.5,
    labels="segments",
    discount=0.99,
    eta=0.5,
    clone_data="labelled",
    clone_batch_size=0,
    clone_learning_rate=1e-4,
    learning_rate=1e-5,
    warmup=10_000,
    decay=False,
    normalize="none",
    dropout=0.25,
    shuffles=2,
)

TRAC = OfflineMethod(
    name="trac",
    title="Trajectory classification (arXiv 2412.15429)",
    config=Config,
    presets={
        "default": Config(),
        "release": RELEASE,
        "release-bullet": replace(RELEASE, alpha=0.2, eta=0.25, bottom=0.0, segment_ratio=1.0),
        "release-metadrive": replace(
            RELEASE,
            steps=200_001,
            alpha=0.2,
            discount=1.0,
            eta=0.25,
            top=0.25,
            bottom=0.0,
            segment_ratio=0.25,
        ),
        "paper": replace(
            RELEASE,
            labels="trajectories",
            policy="gaussian",
            clone_data="all",
            clamp=0.0,
            dropout=0.0,
            learning_rate=1e-4,
            warmup=0,
            shuffles=1,
        ),
        # The size of the demonstration: small enough for a minute on two cores.
        "demo": Config(steps=8_500, clone_fraction=0.94, hidden=(128, 128)),
    },
    prepare=Segments,
    init=init,
    phases=phases,
    policy=lambda state: state.policy,
    document=__doc__ or "",
)
