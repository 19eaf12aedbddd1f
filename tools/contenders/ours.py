"""dftiny's ahead-of-time engine as tools/versus runs it: what codegen writes for a plan, with the M7 kernels."""

from __future__ import annotations

from pathlib import Path

from arm_model import kernel_sources

from contenders.cases import Case
from contenders.harness import FIRMWARE, OURS, Program, library
from dftiny.codegen.model_c import model_c
from dftiny.plan import DEFAULT_WISHES, RegionSpec, Wishes, plan

RAM_BYTES = 4 << 20  # memory is not what is compared here
MAIN = """
static unsigned char arena[{bytes}] __attribute__((aligned(32)));
signed char *versus_in, *versus_out;
void versus_open(void);
void versus_open(void)
{{
    dft_region region = {{"{region}", arena, sizeof arena}};
    dft_tensor in, out;
    if (dft_the_engine.open(&region, 1, &in, &out) != DFT_OK) {{
        __builtin_trap();
    }}
    versus_in = (signed char *)in.data;
    versus_out = (signed char *)out.data;
}}
void versus_invoke(void);
void versus_invoke(void)
{{
    (void)dft_the_engine.invoke();
}}
"""


class Ours:
    """The engine of this project."""

    name = "dftiny"
    levels = ("-O2",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def program(self, case: Case) -> Program:
        """The C text of `case`. Raises DftError when the engine cannot run an operator."""
        # A net as users get it; of a single layer the kernel's speed, whatever scratch it takes.
        wishes = Wishes(slack=1.0) if case.kind == "layer" else DEFAULT_WISHES
        layout = plan(case.graph, [RegionSpec("axi", RAM_BYTES, 32)], wishes)
        files = model_c(case.graph, layout, bundle_digest=bytes(32))
        header = self.folder / "ours_headers"
        header.mkdir(exist_ok=True)
        (header / "dft_model.h").write_text(files["dft_model.h"])
        ((region, size),) = layout.region_bytes.items()
        text = files["dft_model.c"] + MAIN.format(bytes=size, region=region)
        sources = [*kernel_sources(), *sorted((FIRMWARE / "engines/aot").glob("*.c"))]
        archive = library(self.folder, "dftiny", sources, OURS)
        return Program(text, (*OURS, f"-I{header}"), (archive,))

    def borrowed(self, function: str) -> bool:
        """All of it is this engine's own."""
        del function
        return False
