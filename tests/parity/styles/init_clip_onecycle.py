"""model.apply(init), clip_grad_norm_, OneCycleLR stepped per batch, an Engine class."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
        m.bias.data.fill_(0.01)
    if isinstance(m, nn.Conv2d):
        torch.nn.init.kaiming_uniform_(m.weight.data, nonlinearity="relu")
        if m.bias is not None:
            torch.nn.init.zeros_(m.bias.data)


def conv_block(in_channels, out_channels, pool=False):
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class ResNet9(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv1 = conv_block(in_channels, 8)
        self.conv2 = conv_block(8, 16, pool=True)
        self.res1 = nn.Sequential(conv_block(16, 16), conv_block(16, 16))
        self.classifier = nn.Sequential(
            nn.MaxPool2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, num_classes)
        )

    def forward(self, xb):
        out = self.conv1(xb)
        out = self.conv2(out)
        out = self.res1(out) + out
        out = self.classifier(out)
        return out

    def training_step(self, batch):
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def validation_step(self, batch):
        images, labels = batch
        out = self(images)
        preds = out.argmax(dim=1)
        acc = torch.tensor(torch.sum(preds == labels).item() / len(preds))
        return {"val_loss": F.cross_entropy(out, labels).detach(), "val_acc": acc}

    def validation_epoch_end(self, outputs):
        epoch_loss = torch.stack([x["val_loss"] for x in outputs]).mean()
        epoch_acc = torch.stack([x["val_acc"] for x in outputs]).mean()
        return [epoch_loss.item(), epoch_acc.item()]


def get_lr(optimizer):
    for param_group in optimizer.param_groups:
        return param_group["lr"]


def build():
    model = ResNet9(3, 10)
    model.apply(init_weights)
    return model


def run(model, images, labels):
    data = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    loader = DataLoader(data, batch_size=12)
    epochs = 3
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-4)
    sched = OneCycleLR(optimizer, 0.002, epochs=epochs, steps_per_epoch=len(loader))
    history = []
    for _ in range(epochs):
        model.train()
        for batch in loader:
            loss = model.training_step(batch)
            loss.backward()
            norm = clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            optimizer.zero_grad()
            history += [loss.item(), norm.item(), get_lr(optimizer)]
            sched.step()
        model.eval()
        with torch.no_grad():
            outputs = [model.validation_step(batch) for batch in loader]
        history += model.validation_epoch_end(outputs)
    return history
