"""Gradio is imported without writing its editors' stubs.

At every import Gradio parses each component's source and renders a `.pyi` beside it, for whoever writes a
component in an editor: half of what its import costs, and a write into the installed packages.

Trail: serve/pages/__init__.py -> here
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

WRITER = "gradio.component_meta"


class Stubless(PathFinder):
    """Finds the one module that writes them, once, and takes its writer away."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != WRITER:
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def without(module: ModuleType) -> None:
                run(module)
                vars(module)["create_or_modify_pyi"] = lambda *_: None

            vars(spec.loader)["exec_module"] = without
        return spec


def import_stubless() -> None:
    """Call before Gradio is imported; without effect where it was already."""
    if WRITER not in sys.modules and Stubless not in sys.meta_path:
        sys.meta_path.insert(0, Stubless)
