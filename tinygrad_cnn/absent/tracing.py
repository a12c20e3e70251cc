"""`torch.fx`: graphs are drawn from what ran (`graph.draw`), not traced by symbols."""

from . import as_decorator, refusing

_WHY = "graphs are read from what ran here; see tinygrad_cnn.graph.draw(model, x)"

wrap = as_decorator
symbolic_trace = refusing("fx.symbolic_trace()", _WHY)
Tracer = GraphModule = Graph = Node = Interpreter = Proxy = refusing("torch.fx", _WHY)
