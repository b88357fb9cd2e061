"""Compiles the hottest modules to C where that can be done (docs/decisions/0019).

Building Perso (`pip install`, a wheel) does so through hatchling; `python hatch_build.py` does it
in a checkout whose sources have changed. Where there is no C compiler, or PERSO_PURE is set, Python
runs the sources: that is no error.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PACKAGE = ROOT / "perso_core"

# Nothing that could answer otherwise than Python: no index goes unchecked, and no None.
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "auto_pickle": False,
    "binding": False,
    "embedsignature": False,
    "nonecheck": True,
}
SHIFTED = re.compile(r"<<=? .*__pyx_[tv]_")
# What is not ready yet.
MAKING = "making-"
MADE_WITHIN_S = 3_600
# A method of C that is taken for a value has one argument more than Cython gives it: an error.
FLAGS = ("-O2", "-g0", "-fno-plt", "-Werror=incompatible-pointer-types")


class CompiledForm(BuildHookInterface[Any]):
    """Puts the compiled form into what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        where = compiled()
        if where is None:
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"{where.relative_to(ROOT)}/*")


def compiled() -> Path | None:
    """Where the compiled form of the sources lies, made if it was not; None where there is none."""
    forms = _forms()
    if sys.implementation.name != "cpython" or os.name == "nt":
        return _without("it is made for CPython under Linux and macOS")
    if forms.asked_for_pure():
        return _without(f"{forms.PURE} is set")
    where: Path = forms.directory(PACKAGE)
    if not where.is_dir():
        try:
            _compile(forms, where)
        # Whatever a compiler may lack, or Cython may not like: Perso runs without.
        except (Exception, SystemExit) as error:
            return _without(f"{type(error).__name__}: {error}")
        _clear_others(where)
    return where


def _forms() -> ModuleType:
    """perso_core/compiled.py by itself: the package needs more than building has."""
    spec = importlib.util.spec_from_file_location("compiled", PACKAGE / "compiled.py")
    assert spec is not None, "a file ending in .py has a loader"
    assert spec.loader is not None, "as said"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _without(reason: str) -> None:
    print(f"Perso's rules are not compiled, and run as Python: {reason}.", file=sys.stderr)


def _compile(forms: ModuleType, where: Path) -> None:
    """All of it under another name first: whoever starts meanwhile finds nothing, or everything."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    where.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent, prefix=MAKING) as scratch:
        work = Path(scratch)
        _try_compiler(work)
        print("compiling to C: about a minute", file=sys.stderr, flush=True)
        extensions = [
            Extension(
                f"{PACKAGE.name}.{module}",
                [str(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").relative_to(ROOT))],
                extra_compile_args=list(FLAGS),
            )
            for module in forms.MODULES
        ]
        cores = min(os.cpu_count() or 1, 4)
        with chdir(ROOT):  # Cython tells modules from paths
            as_c = cythonize(
                extensions,
                build_dir=str(work / "c"),
                compiler_directives=DIRECTIVES,
                nthreads=cores,
                quiet=True,
                force=True,
            )
            for one in as_c:
                _refuse_shifts(one.sources)
            command = build_ext(Distribution({"name": PACKAGE.name, "ext_modules": as_c}))
            command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
            command.parallel = cores
            command.ensure_finalized()
            command.run()
        ready = work / "ready"
        ready.mkdir()
        for module in forms.MODULES:
            made = work / "lib" / PACKAGE.name / forms.extension(module.replace(".", "/"))
            shutil.move(made, ready / forms.extension(module))
        if not where.is_dir():  # another process may have been faster
            ready.rename(where)


def _refuse_shifts(sources: Iterable[str]) -> None:
    """Raises where an integer of C is shifted: bits that stand for rules are more than 64."""
    for source in sources:
        for line in Path(source).read_text(encoding="utf-8").splitlines():
            if SHIFTED.search(line) and not line.startswith(" *"):
                raise ArithmeticError(f"an integer of C is shifted in {source}: {line.strip()}")


def _try_compiler(work: Path) -> None:
    """Raises what the compiler does: it is known at once whether it works, and has Python.h."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler, get_python_inc

    source = work / "trial.c"
    source.write_text("#include <Python.h>\n", encoding="utf-8")
    compiler = new_compiler()
    customize_compiler(compiler)
    include = [get_python_inc()]
    compiler.compile([str(source)], output_dir=str(work), include_dirs=include)


def _clear_others(where: Path) -> None:
    """What was compiled of other sources. Processes that run it keep it in memory."""
    for other in where.parent.iterdir():
        making = (
            other.name.startswith(MAKING) and time.time() - other.stat().st_mtime < MADE_WITHIN_S
        )
        if other != where and not making:
            shutil.rmtree(other, ignore_errors=True)


if __name__ == "__main__":
    compiled()
