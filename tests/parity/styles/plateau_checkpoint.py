"""ReduceLROnPlateau, the best weights kept, state_dicts saved to a file and loaded."""

import copy
import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import lr_scheduler


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 9, 10)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.bn(self.conv(x))), 2)
        x = torch.flatten(x, start_dim=1)
        return F.log_softmax(self.fc(x), dim=-1)


def build():
    return Net()


def fit(model, optimizer, scheduler, x, y, epochs):
    criterion = nn.NLLLoss()
    best_loss, best = float("inf"), None
    history = []
    for _epoch in range(epochs):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            with torch.set_grad_enabled(phase == "train"):
                loss = criterion(model(x), y)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            history.append(loss.item())
        scheduler.step(loss)
        history.append(optimizer.param_groups[0]["lr"])
        if loss < best_loss:
            best_loss = loss.item()
            best = copy.deepcopy(model.state_dict())
    return history, best


def run(model, images, labels):
    x, y = torch.tensor(images), torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, amsgrad=True)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=0.5, patience=0, threshold=0.05
    )
    history, best = fit(model, optimizer, scheduler, x, y, epochs=8)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint.pt")
        torch.save(
            {
                "epoch": 8,
                "model_state_dict": model.state_dict(),
                "best_state_dict": best,
                "optimizer_state_dict": optimizer.state_dict(),
                "loss": history[-2],
            },
            path,
        )
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)

    resumed = Net().to(x.dtype)
    resumed.load_state_dict(checkpoint["model_state_dict"])
    optimizer = torch.optim.Adam(resumed.parameters(), lr=0.001, amsgrad=True)
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        F.nll_loss(resumed(x), y).backward()
        optimizer.step()
        scheduler.step()
        history.append(optimizer.param_groups[0]["lr"])
    print(model.load_state_dict(checkpoint["best_state_dict"]))
    model.eval()
    resumed.eval()
    with torch.no_grad():
        history += model(x)[0].exp().tolist() + resumed(x)[0].exp().tolist()
    return [*history, checkpoint["loss"], checkpoint["epoch"]]
