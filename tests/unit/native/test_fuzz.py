"""The fuzzer's inputs, a few of them, in every test run; `make fuzz` draws many, with sanitizers."""

from __future__ import annotations

import random
from importlib import import_module

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from tests.fuzz.mutation import Mutator
from tests.support.native import compiled
from tests.support.samples import sample

compiled("scan")
compiled("encode")
targets = import_module("tests.fuzz.targets").TARGETS


@pytest.mark.parametrize("target", targets.values(), ids=targets.keys())
@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_damaged_requests_are_found_alike(signal: Signal, target: object) -> None:
    """By the compiled module and by the reference; some are in order although they were changed."""
    assert callable(target)
    mutator = Mutator(
        random.Random(1), signal.request_type().DESCRIPTOR, [sample(signal).SerializeToString()]
    )
    verdicts = {target(signal, mutator.draw()) for _ in range(150)}
    assert False in verdicts


def test_the_same_seed_draws_the_same_inputs() -> None:
    """So that a finding can be found again."""

    def drawn() -> list[bytes]:
        seeds = [sample(Signal.TRACES).SerializeToString()]
        mutator = Mutator(random.Random(7), Signal.TRACES.request_type().DESCRIPTOR, seeds)
        return [mutator.draw() for _ in range(50)]

    first = drawn()
    assert first == drawn()
    assert len(set(first)) > 40
