"""`torchvision.models`: none are here, but their files run as they are.

Every name is there to be imported, and says so when it is called.
"""

from __future__ import annotations

from typing import Any

from . import refusing

_WHY = "copy its file from torchvision beside yours; it runs here unchanged"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return refusing(f"torchvision.models.{name}", _WHY)
