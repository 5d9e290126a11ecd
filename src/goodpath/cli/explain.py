"""`goodpath explain`: a method's equations, presets and options."""

from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Annotated, Any

import tyro

from goodpath.methods import find


@dataclass(frozen=True)
class Arguments:
    """Explain a method: what it does, its presets, and every option with its default."""

    method: Annotated[str, tyro.conf.Positional]
    """Name of the method; `goodpath methods` lists them."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath explain")
    print(explain(options.method))
    return 0


def explain(name: str) -> str:
    """The page of a method."""
    method = find(name)
    default = method.presets["default"]
    lines = [method.title, "=" * len(method.title), "", method.document.strip(), "", "Options", "-------", ""]
    meanings = option_meanings(method.config)
    for option in fields(default):
        flag = "--" + option.name.replace("_", "-")
        lines += [f"{flag} ({_show(getattr(default, option.name))})", f"    {meanings[option.name]}"]
    lines += ["", "Presets", "-------", "", "default"]
    for preset, config in method.presets.items():
        changes = [
            f"{key}={_show(value)}" for key, value in asdict(config).items() if value != asdict(default)[key]
        ]
        if preset != "default":
            lines.append(f"{preset}: {', '.join(changes) or 'as default'}")
    return "\n".join(lines)


def option_meanings(config: type) -> dict[str, str]:
    """The docstring below each field of a configuration: the same text that `--help` shows."""
    import ast
    import inspect
    import textwrap

    body: list[ast.stmt] = []
    for parent in reversed(config.__mro__[:-1]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(parent)))
        body += next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    meanings = {}
    for node, following in pairwise(body):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            meanings[node.target.id] = " ".join(str(following.value.value).split())
    return meanings


def _show(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
