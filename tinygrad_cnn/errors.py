"""Every error that a user can cause, as one tree.

    TinygradError
    ├── ShapeError (ValueError)        shapes that do not fit the operation
    ├── DTypeError (TypeError)         dtypes that do not fit, or a type that is no tensor
    ├── ArgumentError (ValueError)     an argument outside its range
    ├── IndexingError (IndexError)     an index outside the tensor
    ├── LabelError (ValueError)        class labels that are out of range or no integers
    ├── AutogradError (RuntimeError)   a backward pass that cannot be done
    │   ├── GraphFreedError            the graph was used up by an earlier backward
    │   ├── MutationError              a value that backward needs was changed in place
    │   ├── NotDifferentiableError     no gradient rule for this input
    │   └── GradcheckError             a gradient that is not the function's
    │       └── WrongGradientError (AssertionError)  the same, in somebody's test
    ├── ModuleError (AttributeError, KeyError)  a part that is missing, or misnamed
    ├── MissingNameError (AttributeError)  a name that this package has not
    ├── MissingImportError (ImportError)   the same, in `from … import name`
    ├── DivergenceError (ArithmeticError)  a loss or a parameter that is not finite
    ├── DatasetError (RuntimeError)    a data file missing, damaged or not what it claims
    ├── CheckpointError (RuntimeError) a checkpoint that cannot be read or does not fit
    ├── ModelFileError (RuntimeError)  a model file that cannot be loaded
    ├── BenchmarkError (RuntimeError)  a benchmark that cannot be run
    ├── OutOfMemoryError (MemoryError) a result that is larger than the memory there is
    ├── PlanningError (RuntimeError)   a computation that cannot be replayed
    └── UnavailableError (RuntimeError) what there is none of here: a GPU, a compiler

Each derives from the built-in exception shown, and from RuntimeError, which PyTorch raises
for most of these, so that `except` clauses written for PyTorch keep working.
"""


class TinygradError(Exception):
    """Base of all errors of this package."""


class ShapeError(TinygradError, ValueError, RuntimeError):
    """Shapes do not fit together; the message names each of them."""


class DTypeError(TinygradError, TypeError, RuntimeError):
    """A dtype or type does not fit the operation."""


class ArgumentError(TinygradError, ValueError, RuntimeError):
    """An argument is outside its range."""


class IndexingError(TinygradError, IndexError, RuntimeError):
    """An index is outside the tensor, or of a kind that cannot index."""


class LabelError(TinygradError, ValueError, IndexError, RuntimeError):
    """A class label is out of range or not an integer."""


class AutogradError(TinygradError, RuntimeError):
    """A backward pass, or an in-place change, that cannot be done."""


class GraphFreedError(AutogradError):
    """The graph was used up by an earlier backward pass."""


class MutationError(AutogradError):
    """A value that the backward pass needs was changed in place."""


class NotDifferentiableError(AutogradError):
    """The operation has no gradient rule for this input."""


class GradcheckError(AutogradError):
    """A backward pass whose gradient is not the slope that the function itself shows."""


class WrongGradientError(GradcheckError, AssertionError):
    """A gradient that a test asserts to be right, and that was not found so."""


class ModuleError(TinygradError, AttributeError, KeyError):
    """A part of a module that is missing, misnamed, or assigned too early."""

    __str__ = Exception.__str__  # a KeyError would quote it


class MissingNameError(TinygradError, AttributeError):
    """A name that is misspelt, or that only PyTorch has."""


class MissingImportError(TinygradError, ImportError):
    """The same, where the name is imported."""


class DivergenceError(TinygradError, ArithmeticError):
    """The loss or a parameter is no longer finite."""


class DatasetError(TinygradError, RuntimeError):
    """A data file is missing, damaged or not what it claims to be."""


class CheckpointError(TinygradError, RuntimeError):
    """A checkpoint cannot be read, or does not fit the model."""


class ModelFileError(TinygradError, RuntimeError):
    """A model file cannot be loaded."""


class BenchmarkError(TinygradError, RuntimeError):
    """A measurement cannot be made, or a peer's process has failed."""


class PlanningError(TinygradError, RuntimeError):
    """A computation cannot be recorded once and replayed."""


class OutOfMemoryError(TinygradError, MemoryError, RuntimeError):
    """A result needs more memory than there is; the message says how much."""


class UnavailableError(TinygradError, RuntimeError):
    """What PyTorch has and this package has not: a GPU, a compiler, other processes."""
