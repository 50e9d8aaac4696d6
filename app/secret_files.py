"""Secrets that are given as a file: `X_FILE` names the file that holds the setting `X`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from app.errors import WrongSetting

SUFFIX = "_FILE"


def with_secret_files(environment: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """The environment, with each secret that is in a file under its own name.

    Args:
        environment: names and values.
        secrets: the settings that may be given so.

    Raises:
        WrongSetting: a secret is given in both ways, or its file cannot be used. The text never
            has what the file holds.
    """
    read = dict(environment)
    for name in secrets:
        path = environment.get(name + SUFFIX, "").strip()
        if not path:
            continue
        if environment.get(name, "").strip():
            raise WrongSetting(f"{name} and {name}{SUFFIX} are both given: leave out one of them")
        read[name] = _content(name + SUFFIX, Path(path))
    return read


def _content(variable: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongSetting(f"{variable}={path} cannot be read: {reason}: correct it") from None
    if not text:
        raise WrongSetting(f"{variable}={path} is empty: write the secret into it")
    return text
