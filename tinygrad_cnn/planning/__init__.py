"""A step of training, or a forward pass, recorded once and then replayed on fixed memory.

    step = planned(model, F.nll_loss)
    for images, labels in loader:
        loss, output = step(images, labels)    # sets .grad of each parameter
        optimizer.step()

    predict = planned(model)                   # output = predict(images)

The first call with images of a new shape runs as usual, is watched, and becomes a list of
kernel calls; the gradient is part of it, made by the rules of the operations themselves.
Later calls run that list: nothing is recorded, looked up or allocated, which for few
images is most of what a step costs. The graph, its drawing and its verification are those
of the model as ever: whoever observes operations sees them, for then nothing is replayed.

`Guarded` is what `training.fit` takes without being asked: it plans where the code of the
model shows (`provable`) that nobody can tell.
"""

from .guarded import Guarded
from .planner import Planned, planned

__all__ = ["Guarded", "Planned", "planned"]
