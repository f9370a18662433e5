"""Prints what documents the settings: `docs/settings.md`, and with `toml` the example file.

python -m hone.settings_page > docs/settings.md
python -m hone.settings_page toml > deploy/hone.example.toml
"""

import json
import sys

from hone.settings import known


def reference() -> str:
    """The settings as a Markdown table: what `docs/settings.md` holds."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in known():
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        lines.append(f"| `{name}` | `{default!r}` | {field.description} |")
    return "\n".join(lines) + "\n"


def example() -> str:
    """A `hone.toml` with every setting at its default: what `deploy/hone.example.toml` holds."""
    lines = [
        "# Every setting at its default; keep what you change. Printed by: python -m hone.settings_page toml"
    ]
    section = ""
    for name, field in known():
        head, _, key = name.partition(".")
        if head != section:
            section = head
            lines += ["", f"[{head}]"]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        lines += [f"# {field.description}", f"{key} = {json.dumps(default)}"]
    return "\n".join(lines) + "\n"


def page() -> str:
    """What `docs/settings.md` holds."""
    return f"""# Settings

Written in `hone.toml` in the home, or as variables: `engine.dtype` is `HONE_ENGINE__DTYPE`. A variable
wins over the file, an option of the command over both. Unknown names are refused with the nearest
known one. This page is printed by `python -m hone.settings_page > docs/settings.md`.

{reference()}"""


if __name__ == "__main__":
    sys.stdout.write(example() if "toml" in sys.argv else page())
