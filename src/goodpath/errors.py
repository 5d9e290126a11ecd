"""The one exception that means: the person using goodpath can mend this."""


class GoodpathError(Exception):
    """Bad input: the message says what was given, what was expected and what to do next.

    The command line prints the message as one line and exits with code 2; `--debug` shows the traceback.
    """


def nearest(name: str, known: "list[str] | tuple[str, ...] | dict[str, object]") -> str:
    """Returns ` Did you mean 'X'?` for the known name closest to `name`, or an empty string."""
    from difflib import get_close_matches

    match = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{match[0]}'?" if match else ""
