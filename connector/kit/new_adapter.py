"""What `connector new-adapter NAME` writes: a package whose checks fail until its methods are written."""

import keyword
import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from connector.adapter import registry
from connector.errors import ConfigError

#: File of the new folder -> its template in `connector/kit/template`; both in terms of the new names.
_FILES: Final = {
    "pyproject.toml": "pyproject.toml.jinja",
    "README.md": "README.md.jinja",
    "{package}/__init__.py": "init.py.jinja",
    "{package}/adapter.py": "adapter.py.jinja",
    "{package}/doc.md": "doc.md.jinja",
    "{package}/py.typed": None,
    "tests/__init__.py": None,
    "tests/standin.py": "standin.py.jinja",
    "tests/test_{name}.py": "test_adapter.py.jinja",
}


def write_new_adapter(name: str, into: Path) -> list[Path]:
    """Writes the folder `into/name` and returns its files.

    Raises `ConfigError` for a name that cannot be an adapter's or is taken, and where the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 40 or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} cannot be an adapter's name: small letters, digits and single _, a letter first")
    if name in registry.adapters():
        raise ConfigError(f"there is an adapter {name!r} already")
    folder = into / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already")
    if not into.is_dir():
        raise ConfigError(f"{into} is no folder")
    # Not the bare name: that is often the CRM's own client library.
    package = f"connector_{name}"
    words = {
        "name": name,
        "package": package,
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "title": name.replace("_", " ").title(),
    }
    templates = Environment(  # noqa: S701 - no HTML
        loader=PackageLoader("connector.kit", "template"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    written = []
    for place, template in _FILES.items():
        path = folder / place.format(name=name, package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = templates.get_template(template).render(words) if template else ""
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
