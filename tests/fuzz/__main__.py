"""`make fuzz`: damaged requests and connections, for a bounded time.

Requests go to the compiled modules, built with AddressSanitizer and UBSan; connections to HTTP/1.1 and HTTP/2.

    python -m tests.fuzz [target ...]

`FUZZ_SECONDS` per target (60), `FUZZ_SEED` to begin from (drawn). What is read outside of its memory, or overflows,
ends the process with the sanitizer's report; what differs from the reference is a finding as well. Either way the
input is kept in the file that is named, and `FUZZ_INPUT=file` runs that one again.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from collector.model.signal import OPENTELEMETRY, Signal
from tests.fuzz.streams import STREAMS

_ROOT: Final = Path(__file__).parents[2]
_BUILT: Final = "FUZZ_BUILT"  # set for the process that fuzzes: where the sanitized modules are
_SIGNALS: Final = OPENTELEMETRY
_COMPILED: Final = (
    "scan",
    "encode",
)  # the names of `targets.TARGETS`, which are imported with what is compiled


def main() -> int:
    """Build, then fuzz each target in a process of its own."""
    if built := os.environ.get(_BUILT):
        return _fuzz(Path(built), sys.argv[1])
    names = sys.argv[1:] or [*_COMPILED, *STREAMS]
    with tempfile.TemporaryDirectory(prefix="collector-fuzz-") as temporary:
        if not STREAMS.keys() >= set(names):
            _build(Path(temporary))
        return max(_run(Path(temporary), name) for name in names)


def _build(directory: Path) -> None:
    """Compile the modules with sanitizers, from a copy: the ordinary ones stay as they are."""
    source = directory / "source"
    shutil.copytree(_ROOT / "collector", source / "collector", ignore=shutil.ignore_patterns("*.so", "*.c"))
    for name in ("setup.py", "pyproject.toml", "LICENSE", "NOTICE", "README.md"):
        shutil.copy(_ROOT / name, source / name)
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=source,
        env={**os.environ, "CFLAGS": flags, "LDFLAGS": "-fsanitize=address,undefined"},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _run(directory: Path, name: str) -> int:
    found = directory / "input"
    finished = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name],
        cwd=_ROOT,
        env={**os.environ, _BUILT: str(directory), **({} if name in STREAMS else _sanitized())},
        check=False,
    )
    if finished.returncode and found.exists():
        kept = Path.cwd() / f"fuzz-{name}-{int(time.time())}"
        shutil.copy(found, kept)
        print(f"{name}: FAILED; FUZZ_INPUT={kept} runs the input again", file=sys.stderr)
    return abs(finished.returncode)


def _sanitized() -> dict[str, str]:
    libraries = [_library(library) for library in ("libasan.so", "libubsan.so", "libstdc++.so.6")]
    return {
        "LD_PRELOAD": " ".join(libraries),
        # Python keeps what it has; every bytes object gets memory of its own, with a guard behind it.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }


def _library(name: str) -> str:
    command = [sysconfig.get_config_var("CC").split()[0], f"-print-file-name={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _load(directory: Path) -> int:
    """Put the sanitized modules where the others would be imported from; return how many there are."""
    built = sorted((directory / "source/collector/_native").glob("*.so"))
    for path in built:
        name = f"collector._native.{path.name.partition('.')[0]}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return len(built)


def _fuzz(directory: Path, name: str) -> int:
    if name in STREAMS:
        return _fuzz_stream(name, directory / "input")
    assert _load(directory), "nothing was compiled"
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    found = directory / "input"
    if given := os.environ.get("FUZZ_INPUT"):
        number, body = given_input(Path(given).read_bytes())
        target(_SIGNALS[number], body)
        print(f"{name}: this input is in order")
        return 0
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"{name}: {seconds:g} s, FUZZ_SEED={seed}, AddressSanitizer and UBSan", flush=True)
    rng = random.Random(seed)
    mutators = _mutators(rng)
    inputs = taken = 0
    for mutator, signal in zip(mutators, _SIGNALS, strict=True):
        for body in mutator.seeds:
            assert target(signal, body), "a seed is in order"
    end = time.monotonic() + seconds
    with found.open("wb", buffering=0) as file:
        while time.monotonic() < end:
            for _ in range(100):
                number = rng.randrange(3)
                body = mutators[number].draw()
                file.seek(0)
                file.truncate()
                file.write(bytes([number]) + body)
                taken += target(_SIGNALS[number], body)
                inputs += 1
    print(f"{name}: {inputs} inputs, {taken} of them in order; nothing found")
    return 0


def _fuzz_stream(name: str, found: Path) -> int:
    """An input is the seed that it is drawn from."""
    play = STREAMS[name]
    if given := os.environ.get("FUZZ_INPUT"):
        play(Path(given).read_bytes())
        print(f"{name}: this input is in order")
        return 0
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    first = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"{name}: {seconds:g} s, FUZZ_SEED={first}", flush=True)
    rng = random.Random(first)
    inputs = taken = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seed = rng.randbytes(8)
        found.write_bytes(seed)
        taken += play(seed)
        inputs += 1
    print(f"{name}: {inputs} inputs, {taken} of them in order; nothing found")
    return 0


def given_input(content: bytes) -> tuple[int, bytes]:
    """The number of the signal and the body, of an input that was kept."""
    return content[0], content[1:]


def _mutators(rng: random.Random) -> list[Any]:
    from tests.bench import payloads
    from tests.fuzz.mutation import Mutator
    from tests.support.samples import sample

    now = 1_790_000_000_000_000_000
    samples = {signal: sample(signal) for signal in _SIGNALS}
    for resource in samples[Signal.METRICS].resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _settle_counts(metric)
    seeds = {signal: [message.SerializeToString()] for signal, message in samples.items()}
    seeds[Signal.TRACES] += payloads.span_requests(3, 4, now, rng)
    seeds[Signal.METRICS] += payloads.metric_requests(3, 4, now, rng)
    return [Mutator(rng, signal.request_type().DESCRIPTOR, seeds[signal]) for signal in _SIGNALS]


def _settle_counts(metric: Any) -> None:
    """The samples have counts that are not the sum of their buckets: that alone would be left to the reference."""
    for point in metric.histogram.data_points if metric.HasField("histogram") else ():
        point.bucket_counts[:] = range(len(point.bucket_counts))
        if point.bucket_counts:
            point.count = sum(point.bucket_counts)
    for point in metric.exponential_histogram.data_points if metric.HasField("exponential_histogram") else ():
        point.zero_count = point.count = 1
        for buckets in (point.positive, point.negative):
            buckets.bucket_counts[:] = range(len(buckets.bucket_counts))
            point.count += sum(buckets.bucket_counts)


if __name__ == "__main__":
    sys.exit(main())
