"""Fine-tuning: frozen layers, learning rates by group, no decay for biases, LambdaLR."""

import torch
import torch.nn as nn
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU())
        self.backbone = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.backbone(self.stem(x))
        x = x.mean([2, 3])
        return self.fc(x)


def build():
    return Net()


def run(model, images, labels):
    for param in model.stem.parameters():
        param.requires_grad = False
    num_ftrs = model.fc.in_features
    weight = next(model.fc.parameters())
    head = nn.Linear(num_ftrs, 10).to(weight.device, weight.dtype)
    with torch.no_grad():
        head.weight[:5] = model.fc.weight
        head.weight[5:] = -model.fc.weight
        head.bias.copy_(torch.cat([model.fc.bias, -model.fc.bias]))
    model.fc = head

    decay, no_decay = [], []
    for name, param in model.backbone.named_parameters():
        if not param.requires_grad:
            continue
        if param.ndim <= 1 or name.endswith(".bias"):
            no_decay.append(param)
        else:
            decay.append(param)
    optimizer = optim.SGD(
        [
            {"params": decay, "weight_decay": 1e-2},
            {"params": no_decay},
            {"params": model.fc.parameters(), "lr": 1e-1},
        ],
        lr=1e-2,
        momentum=0.9,
    )
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda e: 0.95**e)

    inputs, labels = torch.from_numpy(images), torch.from_numpy(labels)
    class_weights = torch.tensor([1.0, 2.0] * 5).to(inputs)
    criterion = nn.CrossEntropyLoss(weight=class_weights, ignore_index=9)
    accumulation_steps = 2
    history = []
    for epoch in range(6):
        if epoch == 4:
            for param in model.stem.parameters():
                param.requires_grad_(True)
            group = {"params": list(model.stem.parameters()), "lr": 1e-3}
            optimizer.add_param_group(group)
            scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer.zero_grad()
        for i, (x, y) in enumerate(zip(inputs.chunk(4), labels.chunk(4), strict=True)):
            loss = criterion(model(x), y) / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()
            history.append(loss.item())
        scheduler.step()
        history += [group["lr"] for group in optimizer.param_groups]
    assert all(p.grad is None for p in model.parameters())
    return history
