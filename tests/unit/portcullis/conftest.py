"""A gateway that only remembers and answers as told, behind real TLS: what a client sends and makes of answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from portcullis import Profile
from portcullis.v1 import checks_pb2, gateway_pb2, gateway_pb2_grpc, provenance_pb2
from services.core.rpc import tls

DECISION = "11111111-2222-4333-8444-555555555555"


class RememberingGateway(gateway_pb2_grpc.GatewayServiceServicer):
    def __init__(self) -> None:
        self.requests: list = []
        self.metadata: list[dict[str, str]] = []
        self.deadlines: list[float | None] = []
        self.check = checks_pb2.Check(verdict=checks_pb2.VERDICT_ALLOW, scores={"hate": 0.25})
        self.events: list[gateway_pb2.Event] = []
        self.account = gateway_pb2.Account(account="user-1", tier=checks_pb2.TIER_NEW, credits=12)
        self.failure: status_pb2.Status | None = None
        self.withdrawn = False

    def _remember(self, request, context) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.deadlines.append(context.time_remaining())
        if self.failure is not None:
            context.abort_with_status(rpc_status.to_status(self.failure))

    def CheckPrompt(self, request, context):
        self._remember(request, context)
        return gateway_pb2.CheckPromptResponse(decision_id=DECISION, check=self.check)

    def CheckUpload(self, request, context):
        self._remember(request, context)
        return gateway_pb2.CheckUploadResponse(decision_id=DECISION, check=self.check)

    def CheckPair(self, request, context):
        self._remember(request, context)
        verdict = self.check.verdict
        return gateway_pb2.CheckPairResponse(prompt=self.check, upload=self.check, pair=self.check, verdict=verdict)

    def CreateImages(self, request, context):
        self._remember(request, context)
        for event in self.events:
            yield gateway_pb2.CreateImagesResponse(event=event)

    def EditImages(self, request, context):
        self._remember(request, context)
        for event in self.events:
            yield gateway_pb2.EditImagesResponse(event=event)

    def VaryImages(self, request, context):
        self._remember(request, context)
        for event in self.events:
            yield gateway_pb2.VaryImagesResponse(event=event)

    def ResumeDecision(self, request, context):
        self._remember(request, context)
        for event in self.events:
            yield gateway_pb2.ResumeDecisionResponse(event=event)

    def GetDecision(self, request, context):
        self._remember(request, context)
        return gateway_pb2.GetDecisionResponse(decision_id=request.decision_id, verdict=checks_pb2.VERDICT_BLOCK)

    def ReportImage(self, request, context):
        self._remember(request, context)
        return gateway_pb2.ReportImageResponse(
            report_id=DECISION, origin=provenance_pb2.ORIGIN_OURS_ALTERED, notice="A [bold]person[/] will look."
        )

    def AppealDecision(self, request, context):
        self._remember(request, context)
        appeal = gateway_pb2.Appeal(appeal_id=DECISION, state=gateway_pb2.APPEAL_STATE_OPEN, notice="Wait.")
        return gateway_pb2.AppealDecisionResponse(appeal=appeal)

    def GetAccount(self, request, context):
        self._remember(request, context)
        return gateway_pb2.GetAccountResponse(account=self.account)

    def UpdateAccount(self, request, context):
        self._remember(request, context)
        return gateway_pb2.UpdateAccountResponse(account=self.account)

    def InspectImage(self, request, context):
        self._remember(request, context)
        inspection = provenance_pb2.Inspection(origin=provenance_pb2.ORIGIN_OURS_INTACT, withdrawn=self.withdrawn)
        return gateway_pb2.InspectImageResponse(inspection=inspection)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    tls.create_ca(folder)
    tls.issue_certificate(folder, "gateway")
    return folder


@pytest.fixture
def gateway() -> RememberingGateway:
    return RememberingGateway()


@pytest.fixture
def profile(gateway: RememberingGateway, certificates: Path) -> Iterator[Profile]:
    server = grpc.server(ThreadPoolExecutor(2))
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(gateway, server)
    credentials = tls.server_credentials(certificates, "gateway", require_client=False)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield Profile(address=f"127.0.0.1:{port}", api_key="pk_test", ca=certificates / "ca.pem")
    server.stop(0).wait()


@pytest.fixture
def environment(profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line's environment: it reaches the gateway of `profile`."""
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PORTCULLIS_ADDRESS", profile.address)
    monkeypatch.setenv("PORTCULLIS_API_KEY", profile.api_key)
    monkeypatch.setenv("PORTCULLIS_CA", str(profile.ca))


def failure(code: int, message: str, *details) -> status_pb2.Status:
    """A google.rpc.Status with details."""
    packed = []
    for detail in details:
        holder = any_pb2.Any()
        holder.Pack(detail)
        packed.append(holder)
    return status_pb2.Status(code=code, message=message, details=packed)


@pytest.fixture
def unavailable() -> status_pb2.Status:
    return failure(
        code_pb2.UNAVAILABLE,
        "the image filter does not answer",
        error_details_pb2.ErrorInfo(reason="IMAGE_FILTER_UNAVAILABLE"),
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)),
    )


@pytest.fixture
def exhausted() -> status_pb2.Status:
    quota = error_details_pb2.QuotaFailure()
    quota.violations.add(subject="account:user-1", description="account-calls: 600 calls in 60 s")
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000))
    return failure(code_pb2.RESOURCE_EXHAUSTED, "over the limit account-calls", quota, retry)


@pytest.fixture
def invalid() -> status_pb2.Status:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="prompt", description="is empty; 1 to 4,000 characters are allowed")
    return failure(code_pb2.INVALID_ARGUMENT, "prompt: is empty", bad)
