"""A small DCGAN: two networks, two optimisers, detach, custom initialisation by name."""

import torch
import torch.nn as nn
import torch.optim as optim

nz = 6
ngf = ndf = 4


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 4, 2, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False),
        )

    def forward(self, input):
        return self.main(input).view(-1)


def build():
    return nn.ModuleDict(
        {"G": Generator().apply(weights_init), "D": Discriminator().apply(weights_init)}
    )


def run(model, images, labels):
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    netG, netD = model["G"].to(device), model["D"].to(device)
    data = torch.tanh(torch.from_numpy(images)).to(device)
    noise = data[:, 0, :nz, :1].unsqueeze(-1) * 2
    noise = torch.cat(
        [noise[:, : nz // 2], torch.ones_like(noise)[:, nz // 2 :]], dim=1
    )

    criterion = nn.BCEWithLogitsLoss()
    optimizerD = optim.Adam(netD.parameters(), lr=0.002, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=0.002, betas=(0.5, 0.999))
    history = []
    for i in range(6):
        netD.zero_grad()
        real = data[i * 4 : i * 4 + 8]
        b_size = real.size(0)
        label = torch.full((b_size,), 1.0, dtype=data.dtype, device=device)
        errD_real = criterion(netD(real), label)
        errD_real.backward()
        fake = netG(noise[:b_size])
        label.fill_(0.0)
        output = netD(fake.detach())
        errD_fake = criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        optimizerD.step()

        netG.zero_grad()
        label.fill_(1.0)
        output = netD(fake)
        errG = criterion(output, label)
        errG.backward()
        optimizerG.step()
        history += [errD.item(), errG.item(), D_G_z1, output.mean().item()]
    return history
