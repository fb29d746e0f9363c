"""Muon: momentum whose step is made orthogonal, for the kernels; AdamW for everything else.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the step is scaled to
the size of AdamW's (Liu et al. 2025, arXiv 2502.16982), so that one learning rate serves both.

Symbols:
    G  gradient of a kernel as a matrix, float32 [out, in * height * width]
    M  its momentum
    O  the nearest (semi-)orthogonal matrix to M: U V^T where M = U S V^T

Deviations: torch's own Muon takes matrices alone and works in bfloat16, which processors without
that arithmetic emulate slowly. Here kernels count as matrices, and the Newton-Schulz iteration runs
on the small Gram matrix M M^T in float32: every factor is a polynomial of it, so they commute, and
the wide matrix itself is multiplied only twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: steep at zero, so that five rounds bring singular values near one."""
ROUNDS = 5
MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-8
RMS = 0.2
"""Root mean square of an AdamW step in units of its learning rate, as seen in training."""
SMALLEST_SIDE = 16
"""Matrices with a shorter side (stems, heads, biases) are left to AdamW."""


def orthogonalized(matrix: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Bring every singular value of a matrix near one: O = U S' V^T, S' about 0.7 to 1.2.

    X_0 = M / |M|, X_{k+1} = (a + b A_k + c A_k^2) X_k with A_k = X_k X_k^T.

    Args:
        matrix: float32 [rows, columns].
        rounds: of the iteration.

    Returns:
        float32, same shape.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp(min=1e-20)
    gram = wide @ wide.T
    a, b, c = COEFFICIENTS
    eye = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    product = eye
    for _ in range(rounds):
        factor = torch.addmm(b * gram, gram, gram, alpha=c).add_(eye, alpha=a)
        product = factor @ product
        gram = factor @ gram @ factor
    found = torch.matmul(product, wide)
    return found.T if is_tall else found


def is_kernel(parameter: Tensor) -> bool:
    """Whether a parameter is a matrix or a convolution's kernel, and not a thin one."""
    return (
        parameter.ndim >= 2
        and min(parameter.shape[0], parameter.numel() // parameter.shape[0]) >= SMALLEST_SIDE
    )


class Muon(Optimizer):
    """One optimiser for a whole network: Muon for the kernels, AdamW for the rest."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0
    ) -> None:
        """Sort the parameters into kernels and the rest.

        Args:
            parameters: of the network; those without a gradient are passed over.
            lr: learning rate of both; Muon's step has `RMS` lr as its root mean square.
            weight_decay: share of a parameter taken off a step, times lr.
        """
        known = list(parameters)
        groups = [
            {"params": [p for p in known if is_kernel(p)], "orthogonal": True},
            {"params": [p for p in known if not is_kernel(p)], "orthogonal": False},
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": lr, "weight_decay": weight_decay},
        )

    # The base class declares overloads for a closure that must be there and one that need not.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = self._muon if group["orthogonal"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, parameter.grad, group["lr"])
        return loss

    def _muon(self, parameter: Tensor, gradient: Tensor, lr: float) -> None:
        """Step along the orthogonalised Nesterov momentum."""
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = _as_matrix(torch.lerp(gradient, momentum, MOMENTUM))
        size = RMS * max(ahead.shape) ** 0.5
        parameter.add_(_as_kernel(orthogonalized(ahead), parameter), alpha=-lr * size)

    def _adamw(self, parameter: Tensor, gradient: Tensor, lr: float) -> None:
        """Step as AdamW does; the weight decay is done."""
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        first, second = ADAM_BETAS
        mean = state["mean"].lerp_(gradient, 1 - first)
        square = state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (square / (1 - second ** state["step"])).sqrt_().add_(ADAM_EPS)
        parameter.addcdiv_(mean, spread, value=-lr / (1 - first ** state["step"]))


def _as_matrix(kernel: Tensor) -> Tensor:
    """Give a kernel as [out, everything else]; free for kernels laid out channels last."""
    return kernel.permute(0, *range(2, kernel.ndim), 1).reshape(kernel.shape[0], -1)


def _as_kernel(matrix: Tensor, like: Tensor) -> Tensor:
    """Undo `_as_matrix`."""
    spread = matrix.reshape(like.shape[0], *like.shape[2:], like.shape[1])
    return spread.permute(0, like.ndim - 1, *range(1, like.ndim - 1))
