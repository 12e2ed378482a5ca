"""The client of a platform's backend, for code that waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar, Unpack
from uuid import uuid4

import grpc

from portcullis.calls import Caller, Event, Rendering, SizedRendering, WordedRendering, event_of
from portcullis.channel import OPTIONS, gateway_credentials
from portcullis.errors import from_rpc_error
from portcullis.profile import Profile, load_profile
from portcullis.v1.gateway_pb2 import (
    Account,
    Appeal,
    AppealDecisionRequest,
    CheckPairRequest,
    CheckPairResponse,
    CheckPromptRequest,
    CheckPromptResponse,
    CheckUploadRequest,
    CheckUploadResponse,
    CreateImagesRequest,
    EditImagesRequest,
    GetAccountRequest,
    GetDecisionRequest,
    GetDecisionResponse,
    InspectImageRequest,
    ReportImageRequest,
    ReportImageResponse,
    ResumeDecisionRequest,
    UpdateAccountRequest,
    VaryImagesRequest,
)
from portcullis.v1.gateway_pb2_grpc import GatewayServiceStub
from portcullis.v1.provenance_pb2 import Inspection

_Response = TypeVar("_Response")


class Client:
    """Talks to one gateway.

    Images are encoded files (PNG, JPEG, WebP, GIF of one frame). Every call raises PortcullisError when it fails; a
    refusal by policy is an answer.

    >>> with Client() as client:
    ...     for event in client.create_images("a red circle", account="user-1"):
    ...         print(event)
    """

    def __init__(self, profile: Profile | None = None, *, deadline: float = 120.0) -> None:
        """Connects as `profile` says, or as this environment does; `deadline` is in seconds, at most 120."""
        profile = profile or load_profile()
        self._deadline = deadline
        self._channel = grpc.secure_channel(profile.address, gateway_credentials(profile), OPTIONS)
        self._stub = GatewayServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; running calls are cancelled."""
        self._channel.close()

    def check_prompt(self, prompt: str, negative_prompt: str = "", **who: Unpack[Caller]) -> CheckPromptResponse:
        """The verdict on a prompt of 1 … 4,000 characters; `negative_prompt` names what shall not be shown."""
        who.setdefault("request_id", str(uuid4()))
        request = CheckPromptRequest(prompt=prompt, negative_prompt=negative_prompt, **who)
        return self._ask(self._stub.CheckPrompt, request)

    def check_upload(self, image: bytes, **who: Unpack[Caller]) -> CheckUploadResponse:
        """The verdict on a picture as an upload."""
        who.setdefault("request_id", str(uuid4()))
        return self._ask(self._stub.CheckUpload, CheckUploadRequest(image=image, **who))

    def check_pair(
        self, prompt: str, image: bytes, mask: bytes, negative_prompt: str = "", **who: Unpack[Caller]
    ) -> CheckPairResponse:
        """The verdicts on a prompt and a picture, alone and together; `mask` is white where it may change."""
        who.setdefault("request_id", str(uuid4()))
        request = CheckPairRequest(prompt=prompt, negative_prompt=negative_prompt, image=image, mask=mask, **who)
        return self._ask(self._stub.CheckPair, request)

    def create_images(self, prompt: str, negative_prompt: str = "", **how: Unpack[SizedRendering]) -> Iterator[Event]:
        """Makes up to 4 pictures of a text without what `negative_prompt` names.

        Ends with Done, Held or the Refused of the whole request.
        """
        how.setdefault("request_id", str(uuid4()))
        request = CreateImagesRequest(prompt=prompt, negative_prompt=negative_prompt, **how)
        return self._watch(self._stub.CreateImages, request)

    def edit_images(
        self, prompt: str, image: bytes, mask: bytes, negative_prompt: str = "", **how: Unpack[WordedRendering]
    ) -> Iterator[Event]:
        """Changes the masked part of a picture, in up to 3 ways; ends as create_images does."""
        how.setdefault("request_id", str(uuid4()))
        request = EditImagesRequest(prompt=prompt, negative_prompt=negative_prompt, image=image, mask=mask, **how)
        return self._watch(self._stub.EditImages, request)

    def vary_images(self, image: bytes, **how: Unpack[Rendering]) -> Iterator[Event]:
        """Makes up to 3 pictures like a picture; ends as create_images does."""
        how.setdefault("request_id", str(uuid4()))
        return self._watch(self._stub.VaryImages, VaryImagesRequest(image=image, **how))

    def resume_decision(self, decision_id: str, *, request_id: str | None = None) -> Iterator[Event]:
        """Carries on a request that was held, once people have released it; ends as the call that was held."""
        request = ResumeDecisionRequest(request_id=request_id or str(uuid4()), decision_id=decision_id)
        return self._watch(self._stub.ResumeDecision, request)

    def inspect_image(self, image: bytes) -> Inspection:
        """Says whether a picture was made here, by every layer."""
        return self._ask(self._stub.InspectImage, InspectImageRequest(image=image)).inspection

    def report_image(
        self, image: bytes, *, reporter: str, category: str = "", statement: str = "", request_id: str | None = None
    ) -> ReportImageResponse:
        """Passes on somebody's complaint about a picture; `reporter` is an opaque id of 1 … 128 ASCII characters.

        `category` is one of the policy's vocabulary, `statement` has at most 2,000 characters; both may be empty.
        """
        request = ReportImageRequest(
            request_id=request_id or str(uuid4()),
            image=image,
            reporter=reporter,
            category=category,
            statement=statement,
        )
        return self._ask(self._stub.ReportImage, request)

    def appeal_decision(
        self, decision_id: str = "", *, account: str, statement: str = "", request_id: str | None = None
    ) -> Appeal:
        """Asks that another person look again at a refusal, or, without a decision, at the account's suspension.

        `statement` has at most 2,000 characters.
        """
        request = AppealDecisionRequest(
            request_id=request_id or str(uuid4()), account=account, decision_id=decision_id, statement=statement
        )
        return self._ask(self._stub.AppealDecision, request).appeal

    def get_decision(self, decision_id: str) -> GetDecisionResponse:
        """What was decided, by the id that the answer or the Accepted event gave."""
        return self._ask(self._stub.GetDecision, GetDecisionRequest(decision_id=decision_id))

    def get_account(self, account: str) -> Account:
        """An end user as they stand: tier, standing, what is left of limits and credits."""
        return self._ask(self._stub.GetAccount, GetAccountRequest(account=account)).account

    def update_account(
        self,
        *,
        add_credits: int = 0,
        shared_hashes: Sequence[bytes] = (),
        join_waitlist: bool = False,
        **who: Unpack[Caller],
    ) -> Account:
        """Says what the platform knows of an end user; the same `request_id` adds credits (pictures) once.

        `shared_hashes` are up to 16 hashes of 16–64 bytes of things that accounts may share, a device for one.
        """
        who.setdefault("request_id", str(uuid4()))
        request = UpdateAccountRequest(
            add_credits=add_credits, shared_hashes=shared_hashes, join_waitlist=join_waitlist, **who
        )
        return self._ask(self._stub.UpdateAccount, request).account

    def _ask(self, call: Callable[..., _Response], request: object) -> _Response:
        try:
            return call(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def _watch(self, call: Callable[..., Any], request: object) -> Iterator[Event]:
        stream = call(request, timeout=self._deadline)
        try:
            for response in stream:
                if event := event_of(response):
                    yield event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            stream.cancel()
