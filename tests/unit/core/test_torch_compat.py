from __future__ import annotations

import subprocess
import sys

import pytest

GUARDED = "from services.core.torch_compat import guard_torchvision; guard_torchvision(); guard_torchvision(); "


@pytest.mark.parametrize("library", ["transformers.CLIPTextModel", "diffusers.UNet2DConditionModel"])
def test_guarded_imports_work_in_a_fresh_process(library: str) -> None:
    module, name = library.split(".")
    code = f"{GUARDED}from {module} import {name}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
