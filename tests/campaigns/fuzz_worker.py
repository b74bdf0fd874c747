"""Runs atheris in a process of its own, for it ends the process when it is done.

::

    python -m tests.campaigns.fuzz_worker envelopes --runs 10000 --seed 7 --dir FOLDER

Inputs are mutated by libFuzzer, and as often by what the forgery campaign mutates with, which knows what an envelope is
made of. Those that reach new code are kept and mutated on. What is no error of ours is not caught, so atheris tells of
it, writes the input into FOLDER, and ends with another exit code than 0.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import atheris

# The program is watched for new code as it is imported, so nothing may import it before.
with atheris.instrument_imports(include=["connector"]):
    from lxml import etree

    from connector.errors import ConnectorError
    from connector.receipts.parse import read_receipts
    from connector.signing.signer import Signer
    from tests.campaigns import forgery_mutations as mutations
    from tests.campaigns.forgery_signers import envelope, unsigned
    from tests.campaigns.forgery_trees import Mutation
    from tests.forgeries import editing
    from tests.forgeries.material import Material

_LONGEST = 16_000
_SEEDS = 12
_HALF = 0.5
_TELLS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is fuzzed."""

    run: Callable[[bytes], object]
    mutations: tuple[Mutation, ...]
    seeds: tuple[bytes, ...]


def targets(random: Random) -> Mapping[str, Target]:
    """By name: opening an envelope and reading what is in it, and reading receipts alone."""
    material = Material.make(random)
    signer = Signer(material.office)
    messages = [envelope(random) for _ in range(_SEEDS)]
    opener = replace(material.opener(), is_required=False)

    def open_and_read(data: bytes) -> object:
        return read_receipts(opener(data).envelope.data)

    def sign_again(_random: Random, material: Material, data: bytes) -> bytes:
        """By the office, so that what is behind a right signature is reached."""
        with contextlib.suppress(AssertionError, ValueError, etree.LxmlError):
            root = editing.certified(editing.digested(editing.tree(data)), material.office)
            return editing.text(editing.valued(root, material.office))
        return data

    return {
        "envelopes": Target(
            run=open_and_read,
            mutations=(*mutations.ANY, sign_again, sign_again, sign_again),
            seeds=tuple(signer.sign(unsigned(random, message)).xml for message in messages),
        ),
        "receipts": Target(
            run=read_receipts,
            mutations=mutations.OF_RECEIPTS,
            seeds=tuple(message.data for message in messages),
        ),
    }


def fuzz(target: Target, options: argparse.Namespace) -> None:
    """Never comes back."""
    seeds = options.dir / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(seed)
    material = Material.make(Random(options.seed))
    material = replace(material, genuine=target.seeds[0], other=target.seeds[1])

    runs = taken = 0

    def once(data: bytes) -> None:
        nonlocal runs, taken
        with contextlib.suppress(ConnectorError):
            target.run(data)
            taken += 1
        runs += 1
        if runs % _TELLS == 0:
            sys.stderr.write(f"stat::taken: {taken}\n")  # again and again: libFuzzer ends without a word to Python

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < _HALF:
            return bytes(atheris.Mutate(data, longest))
        while True:
            data = random.choice(target.mutations)(random, material, data)
            if random.random() < _HALF:
                return data[:longest]

    arguments = [f"-runs={options.runs}", f"-seed={options.seed % 2**31 + 1}", f"-max_len={_LONGEST}", "-timeout=10"]
    # Inputs that were made shorter hold less of an envelope that could be mutated on.
    arguments += ["-reduce_inputs=0", "-print_final_stats=1", f"-artifact_prefix={options.dir}/", str(seeds)]
    atheris.Setup([sys.argv[0], *arguments], once, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    options = parser.parse_args()
    fuzz(targets(Random(options.seed))[options.target], options)


if __name__ == "__main__":
    main()
