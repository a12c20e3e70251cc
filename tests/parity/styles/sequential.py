"""Nothing but nn.Sequential, a loss object, and a loop over slices of the data."""

import torch
from torch import nn, optim


def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(kernel_size=2),
        nn.Conv2d(8, 16, kernel_size=(3, 3), padding="same", bias=False),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(16 * 2 * 2, 32),
        nn.Tanh(),
        nn.Linear(32, 10),
    )


def run(model, images, labels):
    X = torch.from_numpy(images)
    y = torch.from_numpy(labels)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    print(model)

    losses = []
    batch_size = 16
    for _epoch in range(8):
        running_loss = 0.0
        for i in range(0, len(X), batch_size):
            inputs, targets = X[i : i + batch_size], y[i : i + batch_size]
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
        losses.append(running_loss / len(X))

    with torch.no_grad():
        _, predicted = torch.max(model(X), 1)
        accuracy = (predicted == y).float().mean().item()
    return [*losses, accuracy]
