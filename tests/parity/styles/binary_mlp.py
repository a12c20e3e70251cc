"""A binary classifier: an MLP, BCEWithLogitsLoss with pos_weight, a sigmoid at the end."""

import torch
import torch.nn as nn
import torch.optim as optim


class MLP(nn.Module):
    def __init__(self, n_inputs, hidden=(32, 16)):
        super().__init__()
        layers = []
        for n in hidden:
            layers.extend([nn.Linear(n_inputs, n), nn.ReLU()])
            n_inputs = n
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(n_inputs, 1)

    def forward(self, x):
        return self.out(self.body(x)).squeeze(-1)


def binary_accuracy(y_pred, y_test):
    y_pred_tag = torch.round(torch.sigmoid(y_pred))
    correct_results_sum = (y_pred_tag == y_test).sum().float()
    acc = correct_results_sum / y_test.shape[0]
    return torch.round(acc * 100)


def build():
    return MLP(64)


def run(model, images, labels):
    X = torch.from_numpy(images.reshape(len(images), -1))
    y = torch.from_numpy(labels >= 5).type_as(X)
    X = (X - X.mean(0)) / X.std(0)

    pos_weight = (y == 0).sum() / (y == 1).sum()
    criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    optimizer = optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.5)
    history = []
    for epoch in range(1, 11):
        model.train()
        optimizer.zero_grad()
        y_pred = model(X)
        loss = criterion(y_pred, y)
        acc = binary_accuracy(y_pred, y)
        loss.backward()
        optimizer.step()
        print(f"Epoch {epoch:03}: | Loss: {loss.item():.5f} | Acc: {acc.item():.3f}")
        history += [loss.item(), acc.item()]

    model.eval()
    with torch.no_grad():
        probability = torch.sigmoid(model(X))
    predicted = (probability > 0.5).long()
    tp = ((predicted == 1) & (y == 1)).sum().item()
    fp = ((predicted == 1) & (y == 0)).sum().item()
    return [*history, *probability.tolist(), tp, fp]
