"""What runs within a component: the metric of a module of the author's behind the world's exports. componentize-py
loads it once, while it builds the component, and keeps the memory as it is then."""

from __future__ import annotations

import gc
import io
import random
import sys
from types import ModuleType
from typing import Any

from tidemark_metric.metric import Declaration
from tidemark_metric.module import module_of


class Nowhere(io.TextIOBase):
    """Where a metric's prints go: a component has no output, and trying to write would end the call."""

    def write(self, text: str) -> int:
        return len(text)


def declaration_in(author: ModuleType) -> Declaration:
    """The one metric that a module declares."""
    classes = [value for value in vars(author).values() if isinstance(value, type)]
    found = [cls for cls in classes if "__tidemark__" in vars(cls) and cls.__module__ == author.__name__]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise LookupError(f"{author.__name__} must have one class with @metric, but has {names}")
    return found[0].__tidemark__


def exports_of(author: ModuleType) -> type:
    """The class that componentize-py looks for by the name of the exported interface."""
    from componentize_py_types import Err

    # Whatever the machine that builds the component would put in: the component must not depend on it.
    random.seed(0)
    sys.stdout = sys.stderr = Nowhere()
    declaration = declaration_in(author)
    module = module_of(declaration)
    described = module.describe()

    class Metric:
        def describe(self) -> str:
            return described

        def configure(self, json: str) -> None:
            try:
                module.configure(json)
            except Exception as error:
                raise Err(str(error)) from None

        def update(self, batch: Any) -> Any:
            return module.update(batch)

        def close(self, batch: Any, reason: Any) -> Any:
            return module.close(batch, reason)

        def merge(self, left: Any, right: Any) -> Any:
            return module.merge(left, right)

        def migrate(self, states: Any, from_: int) -> Any:
            return module.migrate(states, from_)

    # What is there now stays; what a call makes is mostly freed without the collector, which would go through all of
    # the batch again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    return Metric
