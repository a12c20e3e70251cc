"""Writes pytorch.json: what PyTorch answers to the tests of this project.

    python tests/recorded/record.py            (some minutes; PyTorch must be installed)

The tests are run, and each answer that `pytorch.from_pytorch` gets is kept, so that the
same tests run where PyTorch is not installed. To be run again after a test that asks
PyTorch was added, renamed or changed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

TESTS = Path(__file__).parent.parent
ASKING = ["core", "autograd", "nn", "ops"]
LONGEST = 8192
"""Characters of the longest answer that is kept."""


def main():
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", *ASKING]
        environment = os.environ | {"TINYGRAD_CNN_RECORD": folder}
        subprocess.run(command, cwd=TESTS, env=environment, check=True)
        for path in Path(folder).iterdir():
            for line in path.read_text("utf-8").splitlines():
                key, answer = json.loads(line)
                text = json.dumps(answer, separators=(",", ":"))
                if len(text) > LONGEST:
                    continue
                if answers.setdefault(key, text) != text:
                    raise SystemExit(f"two tests ask the same and hear another: {key}")
    lines = [f"{json.dumps(key)}:{answers[key]}" for key in sorted(answers)]
    head = f'{{"torch":"{torch.__version__}","answers":{{\n'
    (TESTS / "recorded/pytorch.json").write_text(
        head + ",\n".join(lines) + "\n}}\n", "utf-8"
    )
    print(f"{len(answers)} answers of PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
