"""`run`: a PyTorch script from start to end, as its author would run it."""

import sys

import pytest

SCRIPT = """
import argparse
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset
from helper import images

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).to(device)
    loader = DataLoader(TensorDataset(images(), torch.tensor([0, 1])), batch_size=2)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    for _ in range(args.steps):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
    print(f"{torch.__name__} {args.steps} steps, loss {loss.item():.4f}")
    torch.save(model.state_dict(), "model.pt")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(working_directory):
    folder = working_directory / "theirs"
    folder.mkdir()
    (folder / "main.py").write_text(SCRIPT)
    (folder / "helper.py").write_text(
        "import torch\ndef images():\n    return torch.eye(2, 4).reshape(2, 1, 2, 2)\n"
    )
    return folder / "main.py"


def test_a_script_runs_with_its_own_arguments_and_files(run, script, working_directory):
    words, path = [*sys.argv], [*sys.path]
    found = run(f"run {script} --steps 40")
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith("torch 40 steps, loss 0.0")
    assert (working_directory / "model.pt").is_file()
    assert (sys.argv, sys.path) == (words, path)


def test_all_that_follows_the_script_is_its_own(run, script):
    script.write_text("import sys; print(sys.argv[1:])")
    assert run(f"run {script} -- -k --debug").out == "['--', '-k', '--debug']\n"


def test_its_exit_status_is_ours(run, script):
    script.write_text("import sys; sys.exit(3)")
    assert run(f"run {script}").status == 3
    script.write_text("import sys; sys.exit('no data')")
    found = run(f"run {script}")
    assert (found.status, found.err) == (1, "no data\n")


def test_an_error_is_one_line_that_names_the_line_of_the_script(run, script):
    script.write_text("import torch\n\ntorch.ones(2, 3) @ torch.ones(2, 3)\n")
    found = run(f"run {script}")
    assert found.status == 1
    assert found.err.count("\n") == 1
    assert f"{script}:3" in found.err


def test_a_name_that_is_missing_is_told(run, script):
    script.write_text("import torch.nn as nn\nnn.Conv2D(1, 1, 1)\n")
    found = run(f"run {script}")
    assert "did you mean Conv2d?" in found.err
    assert f"{script}:2" in found.err


def test_a_script_that_is_not_there_and_a_command_that_is_not(run):
    assert "there is no script nowhere.py" in run("run nowhere.py").err
    found = run("trian net.py")
    assert found.status == 2
    assert "there is no command 'trian'; did you mean train?" in found.err
