"""Every overlay, rendered once for all tests."""

from __future__ import annotations

import pytest

from tests.unit.deploy.rendering import K8S, OVERLAYS, Thing, kubectl, render


@pytest.fixture(scope="session")
def program() -> str:
    found = kubectl()
    if not found:
        pytest.skip("no kubectl: `make test` installs the pinned one on Linux (x86-64); elsewhere put one on the PATH")
    return found


@pytest.fixture(scope="session")
def rendered(program: str) -> dict[str, list[Thing]]:
    return {overlay: render(program, K8S / "overlays" / overlay) for overlay in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def things(request: pytest.FixtureRequest, rendered: dict[str, list[Thing]]) -> list[Thing]:
    """The objects of one overlay; every test with it runs for each."""
    return rendered[request.param]
