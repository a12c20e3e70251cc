"""One test that goes through many cases, where a test of its own for each buys nothing.

`@for_each("name", NAMES)` is written and read as `pytest.mark.parametrize`, several may
stand above each other, and every case is tried, whatever becomes of the others. But it is
one test: collected, sent to a worker and reported once, with the names of the cases that
failed.
"""

import functools
import inspect

import pytest

current = []
"""The names of the case that is being tried, the outermost first."""


def for_each(names, values, ids=None):
    """Call the test for each of the values, which are tuples where names are several."""
    names = names.split(",") if isinstance(names, str) else list(names)
    names = [name.strip() for name in names]
    values = list(values)

    def decorate(test):
        signature = inspect.signature(test)

        @functools.wraps(test)
        def every_case(**fixtures):
            failures, skipped = [], []
            for number, value in enumerate(values):
                given = value if len(names) > 1 else (value,)
                current.append(_name(ids, number, value))
                try:
                    test(**fixtures, **dict(zip(names, given, strict=True)))
                except pytest.skip.Exception as reason:
                    skipped.append(reason)
                except Exception as error:
                    error.add_note(f"in the case {', '.join(current)}")
                    failures.append(error)
                finally:
                    current.pop()
            if len(failures) == 1:
                raise failures[0]
            if failures:
                raise ExceptionGroup(
                    f"{len(failures)} of {len(values)} cases", failures
                )
            if skipped and len(skipped) == len(values):
                raise skipped[0]

        parameters = [p for n, p in signature.parameters.items() if n not in names]
        every_case.__signature__ = signature.replace(parameters=parameters)
        return every_case

    return decorate


def _name(ids, number, value):
    if ids is None:
        plain = isinstance(value, str | int | float | bool | None)
        return str(value) if plain else str(number)
    if callable(ids):
        return str(ids(value))
    return str(list(ids)[number])
