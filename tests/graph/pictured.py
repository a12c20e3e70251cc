"""What a DOT text says, read without the code that wrote it; and nets to draw."""

import html
import re

from tinygrad_cnn import Tensor, manual_seed, nn, randn
from tinygrad_cnn.nn import functional as F

STATEMENT = re.compile(
    r'^\s*("(?:[^"\\]|\\.)*"|\w+) \[label=<(<TABLE.*?</TABLE>)> tooltip'
)
FRAME = re.compile(r'<TD PORT="([^"]*)"[^>]*>(<TABLE.*?</TABLE>)</TD>')


def faces(drawing):
    """What each node says on its face, as plain text, by its id."""
    found = {}
    for line in str(drawing).splitlines():
        match = STATEMENT.match(line)
        if match and "PORT=" in match[2]:
            found |= {id: plain(face) for id, face in FRAME.findall(match[2])}
        elif match:
            found[match[1].strip('"')] = plain(match[2])
    return found


def plain(markup):
    text = re.sub(r"<BR[^>]*/>|</TR>", "\n", markup)
    text = html.unescape(re.sub(r"<[^>]*>", "", text)).replace("\xa0", " ")
    text = text.replace("\u2060", "")  # invisible, for Graphviz only
    return text.strip("\n")


def node_named(drawing, title):
    """The id of the node that is called so."""
    (id,) = [id for id, face in faces(drawing).items() if face.split("\n")[0] == title]
    return id


class Block(nn.Module):
    """A residual block: 2 (9 c² + c) + 4 c parameters for c channels."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


class ResNet(nn.Module):
    """Images (N, 3, 8, 8) to (N, 10)."""

    loss = staticmethod(F.cross_entropy)

    def __init__(self, blocks, channels=4):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(blocks)])
        self.head = nn.Linear(channels, 10)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


def resnet(blocks):
    """A net, images and labels."""
    manual_seed(0)
    return ResNet(blocks), randn(2, 3, 8, 8), Tensor([1.0, 2.0]).long()


class Deep(nn.Module):
    """Layers in a list, with functions between them; (N, 8) to (N, 8)."""

    def __init__(self, layers, between=F.relu):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(layers)])
        self.between = between

    def forward(self, x):
        for layer in self.layers:
            x = self.between(layer(x))
        return x
