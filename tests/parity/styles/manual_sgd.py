"""No nn.Module, no optimiser: raw tensors, and updates by hand under no_grad."""

import math

import torch


def log_softmax(x):
    return x - x.exp().sum(-1).log().unsqueeze(-1)


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


def build():
    torch.manual_seed(0)
    return None


def run(model, images, labels):
    x_train, y_train = map(torch.tensor, (images, labels))
    x_train = x_train.view(x_train.shape[0], -1)
    n, c = x_train.shape
    dtype = x_train.dtype

    pattern = torch.arange(c * 16).reshape(c, 16) % 7 - 3
    weights = pattern.to(dtype) / math.sqrt(c)
    weights.requires_grad_()
    bias = torch.zeros(16, dtype=dtype, requires_grad=True)
    w2 = torch.full((16, 10), 0.1, dtype=dtype)
    w2[0] = -0.1
    w2[:, 3] *= 2
    w2.requires_grad = True

    def net(xb):
        hidden = torch.tanh(xb @ weights + bias)
        return log_softmax(hidden.mm(w2))

    lr = 0.5
    bs = 16
    history = []
    for epoch in range(4):
        for i in range((n - 1) // bs + 1):
            xb = x_train[i * bs : (i + 1) * bs]
            yb = y_train[i * bs : (i + 1) * bs]
            loss = nll(net(xb), yb)
            loss.backward()
            with torch.no_grad():
                weights -= weights.grad * lr
                bias -= lr * bias.grad
                w2.sub_(w2.grad, alpha=lr)
                weights.grad.zero_()
                bias.grad = None
                w2.grad = None
            history.append(loss.item())
        if epoch % 2 == 1:
            lr *= 0.5
            print(epoch, loss)

    a = torch.tensor(1.0, requires_grad=True)
    for _ in range(20):
        y = (a * 2 - 3) ** 2
        y.backward()
        a.data -= 0.1 * a.grad.data
        a.grad.data.zero_()
    (slope,) = torch.autograd.grad((a**3).sum(), a)

    preds = torch.argmax(net(x_train), dim=1)
    accuracy = (preds == y_train).float().mean()
    return [*history, accuracy.item(), a.item(), slope.item(), weights.norm().item()]
