"""`python -m services.core.store` brings the schema of the configured database up to date."""

from __future__ import annotations

import sys

from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, Unavailable
from services.core.store.database import migrate


def main() -> None:
    """Prints the ids of the migrations that were applied; exits with a message where there is no database."""
    try:
        applied = migrate(HouseSettings().database())
    except (ConfigurationError, Unavailable) as error:
        sys.exit(error.message)
    print("\n".join(applied) or "up to date")


if __name__ == "__main__":
    main()
