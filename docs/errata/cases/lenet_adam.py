"""lenet, backward_adam: the start of the averages is corrected for twice.

Adam divides its averages of g and g² by 1 − ρᵗ because they start at 0, or multiplies the
learning rate by √(1 − ρᵗ) / (1 − ρ_fᵗ), which is the same. The listing does both.
"""

import numpy as np

WHERE = "`lenet` listing `backward_adam`, bias correction"
STATES = (
    r"step $= \alpha \frac{\sqrt{1 - \rho^t}}{1 - \rho_f^t} \cdot \frac{\hat "
    r"F}{\sqrt{\hat A}}$, where $\hat F$ and $\hat A$ are corrected too"
)
RIGHT = r"step $= \alpha \cdot \frac{\hat F}{\sqrt{\hat A}}$"
RHO, RHO_F = 0.999, 0.9


def right(gradients, rate):
    """The steps for one weight, whose gradients are given."""
    a, f, steps = 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        a, f = RHO * a + (1 - RHO) * g * g, RHO_F * f + (1 - RHO_F) * g
        steps.append(rate * f / (1 - RHO_F**t) / np.sqrt(a / (1 - RHO**t)))
    return np.array(steps)


def stated(gradients, rate):
    t = np.arange(1, len(gradients) + 1)
    return right(gradients, rate) * np.sqrt(1 - RHO**t) / (1 - RHO_F**t)


def shows():
    ratio = stated(np.ones(10), 0.01) / right(np.ones(10), 0.01)
    return (
        f"the 1st step is {ratio[0]:.2f} of Adam's, the 10th {ratio[9]:.2f}, and it trains "
        "for 10 steps at most"
    )
