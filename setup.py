"""The compiled modules. They are optional: without a C compiler the package installs and works, slower."""

from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("collector/_native")
# What several modules are made of: a change builds them again.
SHARED = sorted(str(path) for pattern in ("*.pxd", "*.h") for path in NATIVE.glob(pattern))

setup(
    ext_modules=[
        Extension(
            f"collector._native.{source.stem}",
            [str(source)],
            depends=SHARED,
            optional=True,
            extra_compile_args=["-O3", "-fno-strict-aliasing", "-Wno-unused-function"],
        )
        for source in sorted(NATIVE.glob("*.pyx"))
    ]
)
