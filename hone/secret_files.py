"""Secrets among the settings: each is given as a value, or as a file that holds it (`NAME` and `NAME_file`).

Trail: hone/settings.py, hone/engines.py, hone/login.py, hone/notices/checks.py -> here
"""

from collections.abc import Iterator
from pathlib import Path

from feedback.errors import SettingsError
from hone.sections import Section


def secret(section: Section, name: str) -> str:
    """What was given under this name, or what its file holds; empty where neither is set.

    Raises:
        SettingsError: The file cannot be read.
    """
    file = getattr(section, f"{name}_file")
    if not file:
        return str(getattr(section, name).get_secret_value())
    try:
        return Path(file).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise SettingsError(
            f"{_setting(section, name)}_file {file} cannot be read: {fault}.",
            "Make it a readable file that holds it.",
        ) from None


def twice(section: Section, *names: str) -> Iterator[str]:
    """A line for each secret that is given both ways."""
    for name in names:
        if getattr(section, name).get_secret_value() and getattr(section, f"{name}_file"):
            setting = _setting(section, name)
            yield f"{setting} and {setting}_file are both set; keep one"


def _setting(section: Section, name: str) -> str:
    return f"{type(section).__name__.lower()}.{name}"
