"""`python deploy/docker/make_home.py FOLDER`: what compose.yaml needs; what is there already is kept.

Makes the data home with its keys and certificates, and `compose.env` with a password for Postgres. `DATABASE_IMAGE`
must still be set there: an image of Postgres with pgvector, by its digest.
"""

from __future__ import annotations

import argparse
import secrets
from contextlib import suppress
from pathlib import Path

from services.commands.provision import make_keys
from services.core.rpc import tls
from services.core.secret_files import write_secret


def main() -> None:
    """Makes the folder, and says where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    home = parser.parse_args().folder.absolute()
    make_keys(home)
    tls.issue_certificate(home / "tls", "console")
    (home / "evidence").mkdir(mode=0o700, exist_ok=True)
    settings = f"HOUSE={home}\nDATABASE_PASSWORD={secrets.token_urlsafe(24)}\nDATABASE_IMAGE=\n"
    with suppress(FileExistsError):
        write_secret(home / "compose.env", settings.encode())
    print(f"made {home}; set DATABASE_IMAGE in compose.env there, e.g. pgvector/pgvector:pg18@sha256:…")


if __name__ == "__main__":
    main()
