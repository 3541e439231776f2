"""FLOPs of training a model, by a convention that is named."""

from __future__ import annotations

from dataclasses import dataclass

# What N counts, and what is added to 6ND. An embedding look-up multiplies nothing.
CONVENTIONS = {
    "all": "6ND, N all parameters (DataDecide, the paper)",
    "non-embedding": "6ND, N without the token embedding and the output head (Kaplan et al. 2020)",
    "attention": "(6N + 12 L d T) D, N all parameters, no discount for the causal mask (PaLM, appendix B)",
}


@dataclass(frozen=True)
class Architecture:
    """What a convention may need beside N and D.

    Attributes:
        embedding_parameters: of the token embedding, and of the output head where it is not tied.
        layers: L, attention layers.
        width: d, heads times their width.
        context: T, tokens a training sequence.
    """

    embedding_parameters: float | None = None
    layers: int | None = None
    width: int | None = None
    context: int | None = None


def training_flops(
    parameters: float, tokens: float, *, convention: str = "all", architecture: Architecture | None = None
) -> float:
    """FLOPs of one training run, forward and backward.

    Args:
        parameters: N, all of them.
        tokens: D, tokens trained on.
        convention: a key of ``CONVENTIONS``.
        architecture: what ``non-embedding`` and ``attention`` need.

    Raises:
        ValueError: the convention is unknown, or needs a fact that is not given.

    >>> training_flops(3.7e6, 87.3e6)
    1938060000000000.0
    """
    shape = architecture or Architecture()
    if convention == "all":
        return 6 * parameters * tokens
    if convention == "non-embedding":
        if shape.embedding_parameters is None:
            raise ValueError("needs the number of embedding parameters")
        return 6 * (parameters - shape.embedding_parameters) * tokens
    if convention == "attention":
        if shape.layers is None or shape.width is None or shape.context is None:
            raise ValueError("needs layers, width and context")
        return (6 * parameters + 12 * shape.layers * shape.width * shape.context) * tokens
    raise ValueError(f"is none of {', '.join(CONVENTIONS)}")
