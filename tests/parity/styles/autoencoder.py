"""A convolutional autoencoder: ConvTranspose2d, Upsample-free decoder, MSELoss."""

import torch
from torch import nn
from torch.utils.data import DataLoader


class Autoencoder(nn.Module):
    def __init__(self, latent_dim=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.to_latent = nn.Linear(8 * 4 * 4, latent_dim)
        self.from_latent = nn.Linear(latent_dim, 8 * 4 * 4)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def encode(self, x):
        return self.to_latent(self.encoder(x).flatten(start_dim=1))

    def decode(self, z):
        return self.decoder(self.from_latent(z).view(-1, 8, 4, 4))

    def forward(self, x):
        z = self.encode(x)
        return self.decode(z), z


def build():
    return Autoencoder()


def run(model, images, labels):
    pixels = torch.tensor(images)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    loader = DataLoader(pixels, batch_size=16, shuffle=False)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    losses = []
    for _epoch in range(3):
        total = 0.0
        for img in loader:
            noisy = (img + 0.1 * torch.ones_like(img)).clamp(0.0, 1.0)
            recon, z = model(noisy)
            loss = criterion(recon, img) + 1e-3 * z.pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(loader))

    model.eval()
    with torch.no_grad():
        recon, z = model(pixels)
    mse = ((recon - pixels) ** 2).mean(dim=(1, 2, 3))
    return [*losses, *mse.tolist(), *z.std(dim=0).tolist()]
