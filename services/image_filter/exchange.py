"""Known images from those who share them, through the exchanges of the threatexchange library (extra `[exchange]`).

A collaboration is described by a JSON file, as the library's own command keeps it: its `name`, the `api`, and what that
one asks for. Credentials never stand there: the library reads them from the environment, and says which variable is
missing. Every pull fetches everything, so that what was withdrawn goes too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from services.core.errors import FailedPrecondition, InvalidInput, Unavailable
from services.core.store.banks import MOST_LABELS, BankEntry, Hash, Opinion

_OPINIONS: dict[str, Opinion] = {
    "POSITIVE_CLASS": "positive_class",
    "INVESTIGATION_SEED": "investigation_seed",
    "NEGATIVE_CLASS": "negative_class",
    "DISPUTED": "disputed",
}
MOST_FILE_BYTES = 1 << 20


def apis() -> dict[str, Any]:
    """Every exchange of the library by its name; FailedPrecondition where the library is not installed."""
    try:
        from threatexchange.exchanges.impl import (
            fb_threatexchange_api,
            file_api,
            ncmec_api,
            static_sample,
            stop_ncii_api,
            techagainstterrorism_api,
        )
    except ImportError:
        raise FailedPrecondition(
            "exchanges need the threatexchange library: pip install 'portcullis[exchange]'", reason="EXTRA_MISSING"
        ) from None
    known = (
        file_api.LocalFileSignalExchangeAPI,
        static_sample.StaticSampleSignalExchangeAPI,
        fb_threatexchange_api.FBThreatExchangeSignalExchangeAPI,
        ncmec_api.NCMECSignalExchangeAPI,
        stop_ncii_api.StopNCIISignalExchangeAPI,
        techagainstterrorism_api.TATSignalExchangeAPI,
    )
    return {api.get_name(): api for api in known}


def credentials_variable(api: Any) -> str:
    """The environment variable that an exchange reads its credentials from; empty where it needs none."""
    return api.get_credential_cls().ENV_VARIABLE if hasattr(api, "get_credential_cls") else ""


def collaboration(path: Path) -> tuple[Any, Any]:
    """The exchange that a file describes, and its configuration; InvalidInput says what is wrong with the file."""
    known = apis()
    from dacite import DaciteError
    from threatexchange.utils.dataclass_json import dataclass_load_dict

    if path.stat().st_size > MOST_FILE_BYTES:
        raise InvalidInput(str(path), "is too large for a description of a collaboration")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        api = known[values["api"]]
        config = dataclass_load_dict({"enabled": True, **values}, api.get_config_cls())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(str(path), f"is no JSON in UTF-8: {error}") from None
    except (KeyError, TypeError):
        raise InvalidInput(
            str(path), f'an object with "name" and an "api" of {", ".join(sorted(known))} is needed'
        ) from None
    except (DaciteError, ValueError) as error:
        raise InvalidInput(str(path), str(error)) from None
    return api, config


def source_of(config: Any) -> str:
    """What entries say where they came from."""
    return f"{config.api}:{config.name}"[:200]


def pull(api: Any, config: Any, bank: str, tenant: str | None, fetched: Callable[[int], None]) -> Iterator[BankEntry]:
    """Everything in PDQ that an exchange has; `fetched` hears how many records came so far.

    FailedPrecondition where credentials are missing or refused, Unavailable where the exchange does not answer.
    """
    import requests
    from threatexchange.exchanges.auth import (
        SignalExchangeAPIInvalidAuthException,
        SignalExchangeAPIMissingAuthException,
    )
    from threatexchange.exchanges.fetch_state import AggregateSignalOpinion, SignalOpinion
    from threatexchange.signal_type.pdq.signal import PdqSignal

    logging.getLogger("threatexchange").setLevel(logging.ERROR)
    records: dict[Any, Any] = {}
    try:
        for delta in api.for_collab(config).fetch_iter([PdqSignal], None):
            api.naive_fetch_merge(records, delta.updates)
            fetched(len(records))
        signals = api.naive_convert_to_signal_type([PdqSignal], config, records).get(PdqSignal, {})
    except SignalExchangeAPIMissingAuthException as error:
        raise FailedPrecondition(error.pretty_str(), reason="CREDENTIALS_MISSING") from None
    except SignalExchangeAPIInvalidAuthException as error:
        raise FailedPrecondition(f"{config.api}: {error.message}", reason="CREDENTIALS_INVALID") from None
    except requests.RequestException as error:  # its message may hold the token, as part of the address
        raise Unavailable(
            f"{config.api} does not answer ({type(error).__name__})", reason="EXCHANGE_UNAVAILABLE"
        ) from None
    except (AssertionError, OSError) as error:
        raise InvalidInput(config.name, str(error)) from None
    for signal, metadata in sorted(signals.items()):
        opinions = metadata.get_as_opinions() or [SignalOpinion.get_trivial()]
        opinion = AggregateSignalOpinion.from_opinions(opinions)
        yield BankEntry(
            bank,
            signal,
            (Hash("pdq", bytes.fromhex(signal)),),
            tenant,
            tuple(sorted(filter(None, map(_label, opinion.tags))))[:MOST_LABELS],
            _OPINIONS[opinion.category.name],
            source=source_of(config),
        )


def _label(tag: object) -> str:
    """A tag of others as a label of ours."""
    return "".join(letter for letter in str(tag) if letter.isprintable() and letter != "|").strip()[:128]
