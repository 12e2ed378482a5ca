"""The banks of known images in a real Postgres."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from portcullis.v1.checks_pb2 import STAGE_UPLOAD
from portcullis.v1.image_filter_pb2 import CheckImageRequest
from services.core.errors import InvalidInput, Unavailable
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.core.store import banks
from services.core.store.banks import BankEntry
from services.core.store.database import Database
from services.image_filter.banks import Banks
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.refresh import BankRefresh
from services.image_filter.servicer import ImageFilterServicer
from services.image_filter.text_judge import TextJudge
from services.image_filter.text_reader import TextReader

ENTRY = BankEntry("bank", "a", "pdq", bytes(range(32)))


async def test_an_entry_comes_back_as_it_was(db: Database) -> None:
    async with db.transaction() as conn:
        await banks.add_entry(conn, ENTRY)

        assert await banks.load_entries(conn) == [ENTRY]


async def test_every_change_gives_a_new_version(db: Database) -> None:
    versions = []
    async with db.transaction() as conn:
        versions.append(await banks.version(conn))
        await banks.add_entry(conn, ENTRY)
        versions.append(await banks.version(conn))
        await banks.remove_entry(conn, "bank", "a")
        versions.append(await banks.version(conn))

    assert len(set(versions)) == 3


async def test_the_same_entry_again_renews_its_hash(db: Database) -> None:
    renewed = BankEntry("bank", "a", "pdq", bytes(32))
    async with db.transaction() as conn:
        await banks.add_entry(conn, ENTRY)
        await banks.add_entry(conn, renewed)

        assert await banks.load_entries(conn) == [renewed]


@pytest.mark.parametrize(
    "entry",
    [
        BankEntry("Bad Name", "a", "pdq", bytes(32)),
        BankEntry("bank", "", "pdq", bytes(32)),
        BankEntry("bank", "a", "pdq", bytes(31)),
    ],
)
async def test_a_malformed_entry_is_refused(db: Database, entry: BankEntry) -> None:
    async with db.transaction() as conn:
        with pytest.raises(InvalidInput):
            await banks.add_entry(conn, entry)


async def test_banks_that_nobody_confirms_are_not_relied_on(db: Database) -> None:
    pipeline = ImagePipeline((), Banks((), "none"), cast(TextReader, None))
    refresh = BankRefresh(db, pipeline, stale_seconds=0.2)
    await refresh.load()
    servicer = ImageFilterServicer(pipeline, refresh, cast(TextJudge, None), cast(Judge, None))
    request = CheckImageRequest(stage=STAGE_UPLOAD, image=b"any")
    await asyncio.sleep(0.3)

    with pytest.raises(Unavailable, match="banks were last confirmed"):
        await servicer.CheckImage(request, cast(Context, None))
