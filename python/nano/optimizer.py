"""The two update rules of the training: Muon for the matrices inside the blocks, AdamW for the rest."""

import torch

from model import product_type

# Coefficients of Muon's quintic Newton-Schulz step (Jordan et al., 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices):
    """The nearest half-orthogonal matrices, roughly, of a stack [n, rows, columns]."""
    x = matrices.to(product_type())
    flip = x.shape[1] > x.shape[2]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if flip else x).float()


class Muon:
    """Momentum, orthogonalised; the factor 0.2 sqrt(longer side) gives updates the size of AdamW's."""

    def __init__(self, lr, decay=0.05, momentum=0.95):
        self.lr, self.decay, self.momentum = lr, decay, momentum

    def step(self, p, grad, first, second, scale, t):
        """p, grad: [n, rows, columns], a stack of independent matrices; first: the momentum, updated in place."""
        first.mul_(self.momentum).add_(grad)
        update = orthogonal(grad + self.momentum * first)
        lr = self.lr * scale
        p.mul_(1 - lr * self.decay).add_(update, alpha=-lr * 0.2 * max(p.shape[1:]) ** 0.5)


class AdamW:
    def __init__(self, lr, decay=0.0, betas=(0.9, 0.95)):
        self.lr, self.decay, self.betas = lr, decay, betas

    def step(self, p, grad, first, second, scale, t):
        b1, b2 = self.betas
        first.lerp_(grad, 1 - b1)
        second.lerp_(grad.square(), 1 - b2)
        lr = self.lr * scale
        size = (second / (1 - b2 ** t)).sqrt_().add_(1e-8)
        p.mul_(1 - lr * self.decay).addcdiv_(first, size, value=-lr / (1 - b1 ** t))
