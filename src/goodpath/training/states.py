"""The states of all seeds, as programs begin with them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from goodpath.spec import Spec


def strong(states: Any) -> Any:
    """The same without weak types, so that the first call is compiled for the same types as all others."""
    return jax.tree.map(
        lambda x: (
            x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else jax.lax.convert_element_type(x, x.dtype)
        ),
        states,
    )


@partial(jax.jit, static_argnames=("init", "config", "spec"))
def fresh(init: Any, config: Any, spec: Spec, keys: Array) -> Any:
    """Fresh states of a method, one for each of the keys, stacked along a leading axis."""
    return strong(jax.vmap(lambda key: init(config, spec, key))(keys))


def joined(parts: Sequence[Any]) -> Any:
    """Groups of seeds, each a pytree of (seeds, ...) arrays, as one."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
