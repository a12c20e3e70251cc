"""Tables of vectors that are trained: one row for each word, class or place."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from ..core.creation import empty
from ..core.engine import Tensor
from ..core.recording import no_grad
from ..errors import ShapeError
from . import functional as F
from . import init
from .functional.embedding import check_options, check_padding
from .layer import Layer
from .parameter import Parameter


class _Table(Layer):
    """A layer whose parameter is `weight` (num_embeddings, embedding_dim)."""

    _usual: ClassVar[dict[str, Any]]
    """Options by their usual values, which the repr leaves out."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        weight: Tensor | None,
        factory: tuple[Any, Any],
        **options: Any,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        check_options(options["scale_grad_by_freq"], options["sparse"])
        options["padding_idx"] = check_padding(options["padding_idx"], num_embeddings)
        self.__dict__.update(options)
        shape, (device, dtype) = (num_embeddings, embedding_dim), factory
        if weight is not None and weight.shape != shape:
            raise ShapeError(
                "Shape of weight does not match num_embeddings and embedding_dim: "
                f"{list(weight.shape)} for {list(shape)}"
            )
        drawn = empty(shape, dtype=dtype, device=device) if weight is None else weight
        self.weight = Parameter(drawn)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values from N(0, 1); the row `padding_idx` becomes 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def _from(cls: Any, embeddings: Tensor, freeze: bool, **options: Any) -> Any:
        if embeddings.ndim != 2:
            raise ShapeError("Embeddings parameter is expected to be 2-dimensional")
        table = cls(*embeddings.shape, _weight=embeddings, **options)
        table.weight.requires_grad = not freeze
        return table

    def extra_repr(self) -> str:
        given = {name: getattr(self, name) for name in self._usual}
        unusual = [f", {k}={v!r}" for k, v in given.items() if v != self._usual[k]]
        return f"{self.num_embeddings}, {self.embedding_dim}{''.join(unusual)}"


class Embedding(_Table):
    """weight[input]: indices (…) to vectors (…, embedding_dim). See `F.embedding`.

    weight starts as N(0, 1). padding_idx: a row that starts at 0 and gets no gradient.
    """

    _usual: ClassVar[dict[str, Any]] = {
        "padding_idx": None,
        "max_norm": None,
        "norm_type": 2,
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            _weight,
            (device, dtype),
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )
        self.weight.requires_grad = not _freeze

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer of these rows, which it shares; freeze: they are not trained."""
        return cls._from(
            embeddings,
            freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """The sum, mean or maximum of a bag of rows. See `F.embedding_bag`.

    weight starts as N(0, 1). forward(input, offsets=None, per_sample_weights=None).
    """

    _usual: ClassVar[dict[str, Any]] = {
        "max_norm": None,
        "norm_type": 2,
        "mode": None,
        "padding_idx": None,
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            _weight,
            (device, dtype),
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A layer of these rows, which it shares; freeze: they are not trained."""
        return cls._from(
            embeddings,
            freeze,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
