"""Every library that is installed computes the same as ours, in a process of its own."""

import pytest
from small_cases import SMALL

from tinygrad_cnn.benchmark.checking import STEPS, Numbers, disagreement
from tinygrad_cnn.benchmark.peers import PEERS, choose_peers
from tinygrad_cnn.benchmark.processes import NotSupported, Process
from tinygrad_cnn.errors import ArgumentError

SLOW = {"torch-compiled"}
OTHERS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in list(PEERS)[1:]
]
TRAINING = {name for name, case in SMALL.items() if case.kind == "training"}
UNABLE = {
    "jax": {"epoch"},
    "torch-compiled": {"chain"},
    "planned": set(SMALL) - TRAINING,
}
"""What each peer may refuse."""


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_peer_agrees_or_says_that_it_cannot(name):
    peer = PEERS[name]
    if not peer.available():
        pytest.skip(f"{peer.label} is not installed")
    refused = set()
    with Process(PEERS["tinygrad_cnn"], 1) as ours, Process(peer, 1) as other:
        for kind, case in SMALL.items():
            expected = computed(ours, case)
            try:
                found = computed(other, case)
            except NotSupported:
                refused.add(kind)
            else:
                assert disagreement(case, found, expected) is None, kind
    assert refused <= UNABLE.get(name, set())


def computed(process, case):
    process.ask("build", case=case.to_json())
    return Numbers(process.ask("check", steps=STEPS))


def test_a_name_that_is_none_is_an_error():
    peers = choose_peers(["jax", "torch", "jax"], PEERS)
    assert [p.name for p in peers] == ["jax", "torch"]
    with pytest.raises(ArgumentError, match="no peer tensorflow; the peers are"):
        choose_peers(["torch", "tensorflow"], PEERS)
