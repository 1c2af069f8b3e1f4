"""A real PBX that writes its books into MariaDB by ODBC, as FreePBX does, into PostgreSQL by its own modules, and into files."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.books import tables
from tests.mariadb import provision as mariadb
from tests.mariadb.server import MariaDB
from tests.pbx import provision as pbx
from tests.pbx.asterisk import PbxConfig
from tests.pg.server import USER, Postgres

WRITER, READER = "asterisk", "cti_books"
_ADDED = (
    "res_odbc_transaction", "res_odbc", "res_config_odbc", "cdr_adaptive_odbc", "cel_odbc", "cdr_pgsql", "cel_pgsql",
)  # fmt: skip


@dataclass(frozen=True)
class TreeWithOdbc(pbx.Tree):
    """Asterisk, finding the libraries of MariaDB's ODBC driver too."""

    beside_dir: Path = Path()

    def run(self, program: Path, *args: str) -> list[str]:
        libraries = f"{self.lib_dir}:{self.beside_dir}"
        return [str(self.loader), "--library-path", libraries, str(program), *args]


def tree_with_odbc(tree: pbx.Tree, odbc: mariadb.Tree) -> TreeWithOdbc:
    return TreeWithOdbc(tree.root, tree.loader, tree.lib_dir, odbc.lib_dir)


def make_mariadb(server: MariaDB, database: str) -> None:
    """FreePBX's database; the daemon's account may only SELECT from the three tables."""
    server.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    server.execute(*tables.MARIADB, database=database)
    grants = [
        f"GRANT INSERT, SELECT ON {database}.* TO '{WRITER}'@'127.0.0.1' IDENTIFIED BY '{server.password}'",
        *(
            f"GRANT SELECT ON {database}.{table} TO '{READER}'@'127.0.0.1' IDENTIFIED BY '{server.password}'"
            for table in ("cdr", "cel", "queue_log")
        ),
    ]
    server.execute(*grants)


def make_postgresql(server: Postgres, database: str) -> None:
    """The same in PostgreSQL."""
    for statement in tables.POSTGRESQL:
        server.execute(statement, database)
    if READER not in {name for (name,) in server.execute("SELECT rolname FROM pg_roles")}:
        server.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{server.password}'")
    server.execute(f"GRANT SELECT ON cdr, cel, queue_log TO {READER}", database)


def config(directory: Path, maria: tuple[MariaDB, str], odbc: Path, pg: tuple[Postgres, str]) -> PbxConfig:
    """What the PBX needs to write into both databases; `odbc` is MariaDB's driver."""
    directory.mkdir(parents=True, exist_ok=True)
    (server, mine), (other, theirs) = maria, pg
    (directory / "odbcinst.ini").write_text(f"[maria]\nDriver = {odbc}\n")
    (directory / "odbc.ini").write_text(
        f"[books]\nDriver = maria\nSERVER = 127.0.0.1\nPORT = {server.port}\nDATABASE = {mine}\n"
        "CHARSET = utf8mb4\n"
    )
    account = (
        f"hostname=127.0.0.1\nport={other.port}\ndbname={theirs}\nuser={USER}\npassword={other.password}\n"
    )
    files = {
        "res_odbc.conf": f"[books]\nenabled = yes\ndsn = books\nusername = {WRITER}\n"
        f"password = {server.password}\npre-connect = yes\n",
        "cdr_adaptive_odbc.conf": "[books]\nconnection = books\ntable = cdr\nalias start => calldate\n",
        "cel_odbc.conf": "[books]\nconnection = books\ntable = cel\n",
        "extconfig.conf": "[settings]\nqueue_log => odbc,books,queue_log\n",
        "cdr_pgsql.conf": f"[global]\n{account}table=cdr\nencoding=UTF8\n",
        "cel_pgsql.conf": f"[global]\n{account}table=cel\n",
    }
    environment = {"ODBCSYSINI": str(directory), "ODBCINI": str(directory / "odbc.ini")}
    return PbxConfig(environment=environment, modules=_ADDED, files=files)


def zone() -> str:
    """This machine's time zone: Asterisk writes local time by /etc/localtime, whatever TZ says."""
    return os.path.realpath("/etc/localtime").rpartition("/zoneinfo/")[2].lstrip("/") or "UTC"
