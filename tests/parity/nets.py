"""Networks of well-known kinds, written for PyTorch; this file knows nothing else.

Small, so that fifty steps in float64 take seconds.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class ResidualBlock(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """Nineteen convolutions in three stages of three blocks, and a dense layer."""

    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        blocks, before = [], width
        for stage, after in enumerate((width, 2 * width, 4 * width)):
            for i in range(3):
                stride = 2 if stage and i == 0 else 1
                blocks.append(ResidualBlock(before, after, stride))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(before, 10)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class InvertedResidual(nn.Module):
    def __init__(self, before, after, stride, expand):
        super().__init__()
        inner = before * expand
        self.skips = stride == 1 and before == after
        self.layers = nn.Sequential(
            nn.Conv2d(before, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x):
        return x + self.layers(x) if self.skips else self.layers(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        plan = [(8, 1, 1), (12, 2, 3), (12, 1, 3), (16, 2, 3), (16, 1, 3)]
        layers, before = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)], 8
        for after, stride, expand in plan:
            layers.append(InvertedResidual(before, after, stride, expand))
            before = after
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


def double_convolution(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.GroupNorm(2, after),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.InstanceNorm2d(after, affine=True),
        nn.LeakyReLU(0.1),
    )


class UNet(nn.Module):
    """One path down and one up, joined; then a score for each class and pixel, averaged."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = double_convolution(3, 4), double_convolution(4, 8)
        self.bottom = double_convolution(8, 8)
        self.up2 = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.join2 = double_convolution(16, 4)
        self.join1 = double_convolution(8, 4)
        self.last = nn.Conv2d(4, 10, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        three = self.bottom(F.avg_pool2d(two, 2))
        up = self.join2(torch.cat([self.up2(three), two], dim=1))
        up = F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(self.join1(torch.cat([up, one], dim=1))).mean(dim=(2, 3))


class LSTMClassifier(nn.Module):
    """Reads an image as a sequence of its rows, in both directions."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * 16, 12)
        self.norm = nn.LayerNorm(12)
        self.lstm = nn.LSTM(12, 10, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(20, 10)

    def forward(self, x):
        rows = x.permute(0, 2, 1, 3).flatten(2)
        out, (h, c) = self.lstm(F.gelu(self.norm(self.embed(rows))))
        return self.fc(out[:, -1] + torch.cat([h[-2], c[-1]], dim=1))


class DenseLayer(nn.Module):
    def __init__(self, before, growth):
        super().__init__()
        self.norm, self.conv = (
            nn.BatchNorm2d(before),
            nn.Conv2d(before, growth, 3, padding=1),
        )

    def forward(self, x):
        return torch.cat([x, self.conv(F.elu(self.norm(x)))], 1)


class DenseNet(nn.Module):
    def __init__(self, growth=4):
        super().__init__()
        layers, channels = [nn.Conv2d(3, 8, 3, padding=1)], 8
        for block in range(2):
            for _ in range(3):
                layers.append(DenseLayer(channels, growth))
                channels += growth
            if block == 0:
                layers += [
                    nn.BatchNorm2d(channels),
                    nn.Hardswish(),
                    nn.Conv2d(channels, channels // 2, 1),
                    nn.AvgPool2d(2),
                ]
                channels //= 2
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x):
        y = F.adaptive_avg_pool2d(torch.tanh(self.features(x)), (1, 1)).flatten(1)
        return self.classifier(y)


NETS = {
    "ResNet-20": ResNet20,
    "MobileNetV2": MobileNetV2,
    "U-Net": UNet,
    "LSTM": LSTMClassifier,
    "DenseNet": DenseNet,
}
