"""gRPC ↔ domain for platforms: translation, and the one rule that a request id is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1 import gateway_pb2_grpc
from services.core import telemetry
from services.core.limits.charges import Use
from services.core.rpc import convert
from services.core.rpc.door import Context, current_caller, tell_limit
from services.gateway import account_order as updates
from services.gateway import accounts_desk
from services.gateway import complaint as complaints
from services.gateway import order as orders
from services.gateway.accounts_desk import AccountsDesk
from services.gateway.answer import last_events, proven, public, worst
from services.gateway.appeals import AppealDesk
from services.gateway.case import Case, Outcome
from services.gateway.checks import check_both, check_found, check_prompt
from services.gateway.desk import Desk, Replay
from services.gateway.held import Resumption, keep
from services.gateway.interrupt import while_allowed
from services.gateway.journey import Journey
from services.gateway.order import Order
from services.gateway.pressure import Pressure
from services.gateway.reports import ReportDesk
from services.gateway.rooms import Rooms

Response = TypeVar("Response", bound=Message)
PROOFS = {True: "registered", False: "missing"}
STANDING_SECONDS = 1.0  # between two looks at the account of a request that is on its way


Asked = (
    api.CheckPromptRequest
    | api.CheckUploadRequest
    | api.CheckPairRequest
    | api.CreateImagesRequest
    | api.EditImagesRequest
    | api.VaryImagesRequest
)

# Readies a journey, and what it resumes, if anything.
Begin = Callable[[Case], Awaitable[tuple[Journey, Resumption | None]]]


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """The one service that a platform can reach."""

    def __init__(
        self,
        rooms: Rooms,
        desk: Desk,
        reports: ReportDesk,
        appeals: AppealDesk,
        accounts: AccountsDesk,
        pressure: Pressure,
    ) -> None:
        self._rooms = rooms
        self._desk = desk
        self._reports = reports
        self._appeals = appeals
        self._accounts = accounts
        self._pressure = pressure
        for proof in PROOFS.values():  # an alert must see the first one that lacks it
            telemetry.RELEASES.labels(proof)

    async def CheckPrompt(self, request: api.CheckPromptRequest, context: Context) -> api.CheckPromptResponse:
        """Judges a prompt."""
        prompt, negative = orders.prompt(request.prompt), orders.negative_prompt(request.negative_prompt)

        async def work(case: Case) -> Outcome:
            stop = await check_prompt(self._rooms, case.subject, prompt, negative)
            response = api.CheckPromptResponse(decision_id=str(case.decision_id), check=public(stop.check))
            return Outcome("check_prompt", [stop], lambda _items: [response], advice=True)

        return await self._once(request, Use("check_prompt"), api.CheckPromptResponse, work)

    async def CheckUpload(self, request: api.CheckUploadRequest, context: Context) -> api.CheckUploadResponse:
        """Judges a picture as an upload."""
        picture = orders.picture("image", request.image)

        async def work(case: Case) -> Outcome:
            stop = await check_found(self._rooms, case.subject, picture, b"")
            response = api.CheckUploadResponse(decision_id=str(case.decision_id), check=public(stop.check))
            return Outcome("check_upload", [stop], lambda _items: [response], advice=True)

        with self._pressure.running(None) as passage:
            answer = await self._once(request, Use("check_upload"), api.CheckUploadResponse, work)
            passage.whole = True
        return answer

    async def CheckPair(self, request: api.CheckPairRequest, context: Context) -> api.CheckPairResponse:
        """Judges a prompt and a picture, alone and together."""
        prompt, negative = orders.prompt(request.prompt), orders.negative_prompt(request.negative_prompt)
        picture, mask = orders.picture("image", request.image), orders.picture("mask", request.mask)

        async def work(case: Case) -> Outcome:
            stops = await check_both(self._rooms, case.subject, prompt, negative, picture, mask)
            response = api.CheckPairResponse(
                decision_id=str(case.decision_id),
                prompt=public(stops[0].check),
                upload=public(stops[1].check),
                pair=public(stops[2].check) if len(stops) == 3 else None,
                verdict=convert.verdict_to_proto(worst(stop.check for stop in stops)),
            )
            return Outcome("check_pair", stops, lambda _items: [response], advice=True)

        with self._pressure.running(None) as passage:
            answer = await self._once(request, Use("check_pair"), api.CheckPairResponse, work)
            passage.whole = True
        return answer

    async def CreateImages(
        self, request: api.CreateImagesRequest, context: Context
    ) -> AsyncIterator[api.CreateImagesResponse]:
        """Makes pictures from a text."""
        async with aclosing(self._make(request, orders.create(request))) as events:
            async for event in events:
                yield api.CreateImagesResponse(event=event)

    async def EditImages(
        self, request: api.EditImagesRequest, context: Context
    ) -> AsyncIterator[api.EditImagesResponse]:
        """Changes the masked part of a picture."""
        async with aclosing(self._make(request, orders.edit(request))) as events:
            async for event in events:
                yield api.EditImagesResponse(event=event)

    async def VaryImages(
        self, request: api.VaryImagesRequest, context: Context
    ) -> AsyncIterator[api.VaryImagesResponse]:
        """Makes pictures like a picture."""
        async with aclosing(self._make(request, orders.vary(request))) as events:
            async for event in events:
                yield api.VaryImagesResponse(event=event)

    async def GetDecision(self, request: api.GetDecisionRequest, context: Context) -> api.GetDecisionResponse:
        """Reads what was decided."""
        tenant, decision_id = current_caller().name, orders.decision_id(request.decision_id)
        recorded = await self._desk.decision(tenant, decision_id)
        decision = recorded.decision
        response = api.GetDecisionResponse(
            decision_id=str(decision.decision_id),
            request_id=str(decision.request_id),
            account=decision.account,
            verdict=convert.verdict_to_proto(decision.verdict),
            reasons=[convert.reason_to_proto(reason) for reason in decision.reasons],
            policy=decision.policy,
            models=[convert.model_to_proto(model) for model in decision.models],
            review_item_ids=[str(item) for item in recorded.items],
            images=[convert.provenance_to_proto(image) for image in recorded.images],
            appeal=self._appeals.told(recorded.appeal) if recorded.appeal else None,
            resumable=await self._desk.held.resumable(tenant, decision_id),
        )
        if decision.created_at is not None:
            response.created_at.FromDatetime(decision.created_at)
        return response

    async def InspectImage(self, request: api.InspectImageRequest, context: Context) -> api.InspectImageResponse:
        """Says whether a picture was made here."""
        subject = pb.Subject(tenant=current_caller().name)
        inspection = await self._rooms.inspect(subject, orders.picture("image", request.image))
        return api.InspectImageResponse(inspection=inspection)

    async def ResumeDecision(
        self, request: api.ResumeDecisionRequest, context: Context
    ) -> AsyncIterator[api.ResumeDecisionResponse]:
        """Carries on a request that was held and released."""
        async with aclosing(self._resume(request)) as events:
            async for event in events:
                yield api.ResumeDecisionResponse(event=event)

    async def ReportImage(self, request: api.ReportImageRequest, context: Context) -> api.ReportImageResponse:
        """Takes a third party's complaint about a picture."""
        request_id, complaint = orders.request_id(request.request_id), complaints.complaint(request)
        return await self._reports.report(current_caller().name, request_id, request, complaint)

    async def AppealDecision(self, request: api.AppealDecisionRequest, context: Context) -> api.AppealDecisionResponse:
        """Asks that another person look again."""
        request_id, plea = orders.request_id(request.request_id), complaints.plea(request)
        return await self._appeals.appeal(current_caller().name, request_id, request, plea)

    async def GetAccount(self, request: api.GetAccountRequest, context: Context) -> api.GetAccountResponse:
        """Reads an account as it stands."""
        state = await self._accounts.read(current_caller().name, orders.account(request.account))
        return api.GetAccountResponse(account=accounts_desk.to_proto(state))

    async def UpdateAccount(self, request: api.UpdateAccountRequest, context: Context) -> api.UpdateAccountResponse:
        """Takes what the platform knows of an account."""
        change = updates.change(request)
        state = await self._accounts.update(current_caller().name, change)
        return api.UpdateAccountResponse(account=accounts_desk.to_proto(state))

    async def _admit(self, request: Asked, use: Use) -> Case | Replay:
        account = orders.account(request.account)
        request_id = orders.request_id(request.request_id)
        return _told(await self._desk.admit(current_caller().name, account, request_id, _content(request), use))

    async def _once(
        self, request: Asked, use: Use, response: type[Response], work: Callable[[Case], Awaitable[Outcome]]
    ) -> Response:
        """Answers a unary request, from the books where it was answered before."""
        case = await self._admit(request, use)
        if isinstance(case, Replay):
            return response.FromString(case.messages[0])
        with self._desk.allowance.running(case.spent):
            try:
                (message,) = await self._desk.record(case, await work(case))
            except BaseException as failure:
                await asyncio.shield(self._desk.give_up(case, failure))
                raise
        assert isinstance(message, response)
        return message

    async def _make(self, request: Asked, order: Order) -> AsyncGenerator[api.Event, None]:
        """Answers a creating request, from the books where it was answered before."""

        async def begin(case: Case) -> tuple[Journey, None]:
            here = (self._rooms, case.subject, str(case.decision_id))
            return Journey(*here, order, case.hold_for, policy=self._desk.policy), None

        use = await self._use(order)
        with self._pressure.running((use, order.steps) if order.operation == pb.OPERATION_CREATE else None) as passage:
            case = await self._admit(request, use)
            async with aclosing(self._answer(case, begin)) as events:
                async for event in events:
                    passage.whole = event.HasField("done") and isinstance(case, Case)
                    yield event

    async def _resume(self, request: api.ResumeDecisionRequest) -> AsyncGenerator[api.Event, None]:
        """Answers as the request that was held would have been; nothing begins before people have released it."""
        decision_id, request_id = orders.decision_id(request.decision_id), orders.request_id(request.request_id)
        held = await self._desk.held.find(current_caller().name, decision_id)
        kept = await self._desk.held.kept(held)

        async def begin(case: Case) -> tuple[Journey, Resumption]:
            await self._desk.held.take(held, case.request_id)
            cleared = await self._rooms.clear_decision(case.subject, str(decision_id))
            past = await self._desk.held.load(held, cleared)
            here = (self._rooms, case.subject, str(case.decision_id))
            looked_at = (past.released, list(past.drawn), past.upheld)
            return Journey(*here, past.order, case.hold_for, *looked_at, revision=past.revision), past

        # Pictures that had been drawn before they were held were paid for then.
        use = Use(orders.NAMES[kept.order.operation]) if kept.drawn else await self._use(kept.order)
        case = _told(await self._desk.admit(held.tenant, held.account, request_id, _content(request), use))
        async with aclosing(self._answer(case, begin)) as events:
            async for event in events:
                yield event

    async def _answer(self, case: Case | Replay, begin: Begin) -> AsyncGenerator[api.Event, None]:
        """Goes a journey and tells of it, or tells again what was told before."""
        if isinstance(case, Replay):
            for message in case.messages:
                yield api.Event.FromString(message)
            return
        with self._desk.allowance.running(case.spent):
            async with aclosing(self._travel(case, begin)) as events:
                async for event in events:
                    yield event

    async def _travel(self, case: Case, begin: Begin) -> AsyncGenerator[api.Event, None]:
        accepted = api.Event(accepted=api.Accepted(decision_id=str(case.decision_id)))
        last: Sequence[Message] = ()
        rendered = False
        try:
            journey, past = await begin(case)
            yield accepted
            standing = partial(self._desk.check_standing, case)
            async with aclosing(while_allowed(journey.travel(), standing, STANDING_SECONDS)) as steps:
                async for progress in steps:
                    rendered = rendered or progress.stage == "render"
                    yield api.Event(progress=progress)
            outcome = Outcome(
                operation=orders.NAMES[journey.order.operation],
                stops=journey.stops,
                answer=lambda items: [accepted, *last_events(journey, items)],
                kept=keep(journey, self._desk.seals),
                resumes=past,
                revision=journey.revision,
            )
            last = (await self._desk.record(case, outcome))[1:]
            telemetry.count_outputs(journey.outcomes)
            telemetry.count_spurious(journey.spurious)
        except BaseException as failure:
            await asyncio.shield(self._desk.give_up(case, failure, rendered=rendered))
            raise
        for event in last:
            assert isinstance(event, api.Event)
            if event.HasField("image"):
                telemetry.RELEASES.labels(PROOFS[proven(event.image)]).inc()
            yield event

    async def _use(self, order: Order) -> Use:
        return Use(orders.NAMES[order.operation], order.count, order.size or await self._rooms.own_size())


def _told(admitted: Case | Replay) -> Case | Replay:
    """Says in the call's trailers what is left of the limit that it came nearest to."""
    if isinstance(admitted, Case) and (near := admitted.spent.grant.tightest):
        tell_limit(near.limit, near.left, near.resets_in)
    return admitted


def _content(request: Asked | api.ResumeDecisionRequest) -> bytes:
    """Everything that decides the answer."""
    return b"\0".join([type(request).__name__.encode(), request.SerializeToString(deterministic=True)])
