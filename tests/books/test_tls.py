"""B3, G1: books in a database over TLS: the right authority is accepted, everything else is refused by the key's name."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cti.daemon.bookdb import DatabaseBooks
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.errors import ConfigError
from tests.books import pbx
from tests.books.conftest import KINDS, Tables, in_mariadb, in_postgresql
from tests.certificates import Authority, authority
from tests.mariadb import provision as mariadb
from tests.mariadb.server import MariaDB
from tests.pg import provision as pg
from tests.pg.server import Postgres

WHERE = "pbx.main.books"


class TlsMariaDB(MariaDB):
    """It has this certificate; without one it speaks no TLS, whereas others of its age sign one themselves."""

    def __init__(self, tree: mariadb.Tree, cert: Path | None = None, key: Path | None = None) -> None:
        super().__init__(tree)
        self._tls = ("--skip-ssl",) if cert is None else (f"--ssl-cert={cert}", f"--ssl-key={key}")

    def _command(self, *more: str) -> list[str]:
        return super()._command(*self._tls, *more)


@dataclass
class Guarded:
    """A database that is reached over TLS only, and who signed its certificate."""

    tables: Tables
    signer: Authority

    def books(self, ca_file: Path | None) -> DatabaseBooks:
        return DatabaseBooks(self.tables.sources(ca_file=ca_file), WHERE)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the servers' certificates; for 127.0.0.1 alone."""
    made = authority(tmp_path_factory.mktemp("tls") / "right")
    made.issue()
    return made


@pytest.fixture(scope="module")
def guarded_mariadb(mariadb_tree: mariadb.Tree, signer: Authority) -> Iterator[Guarded]:
    with TlsMariaDB(mariadb_tree, signer.directory / "server.pem", signer.directory / "server.key") as server:
        tables = in_mariadb(server)
        tables.execute(f"ALTER USER '{pbx.READER}'@'127.0.0.1' REQUIRE SSL")
        yield Guarded(tables, signer)


@pytest.fixture(scope="module")
def guarded_postgresql(pg_tree: pg.Tree, pg_blank: Postgres, signer: Authority) -> Iterator[Guarded]:
    with Postgres(pg_tree, pg_blank) as server, server.database() as name:
        tables = in_postgresql(server, name)
        for file in ("server.pem", "server.key"):
            there = server.data / file
            shutil.copyfile(signer.directory / file, there)
            there.chmod(0o600)
            owner = server.data.stat()
            shutil.chown(there, owner.st_uid, owner.st_gid)
        for setting in ("ssl = on", "ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'"):
            server.execute(f"ALTER SYSTEM SET {setting}")
        server.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while server.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") != [(True,)]:
            assert time.monotonic() < deadline, "the server does not take its new settings"
            time.sleep(0.02)  # it tells nobody that it has read them
        (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        server.execute("SELECT pg_reload_conf()")
        yield Guarded(tables, signer)


@pytest.fixture(params=KINDS)
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Each of them."""
    found: Guarded = request.getfixturevalue(f"guarded_{request.param}")
    return found


async def test_the_authority_that_signed_is_trusted(guarded: Guarded) -> None:
    """With its file the tables are read; the account may not come without TLS."""
    found = await guarded.books(guarded.signer.ca).read(0, 1)
    assert (found.cdr, found.cel, found.queue_log) == ((), (), ())
    if guarded.tables.kind == "mariadb":  # PostgreSQL's driver asks for TLS by itself, and trusts everybody
        with pytest.raises(BookUnreadable, match="Access denied"):
            await guarded.books(None).read(0, 1)


async def test_another_authority_is_refused(guarded: Guarded, tmp_path: Path) -> None:
    """Whoever stands in between has a certificate too, but of somebody else; the message says where to mend it."""
    other = authority(tmp_path / "other")
    with pytest.raises(BookUnreadable, match=rf"not signed by .* {WHERE}\.ca_file") as refused:
        await guarded.books(other.ca).read(0, 1)
    assert guarded.tables.password not in str(refused.value)


async def test_a_certificate_of_another_name_is_refused(guarded: Guarded) -> None:
    """The name in the URL has to stand in the certificate."""
    url = guarded.tables.url.replace("127.0.0.1", "localhost")
    settings = guarded.tables.sources(ca_file=guarded.signer.ca).model_copy(update={"url": url})
    with pytest.raises(BookUnreadable, match=rf"another name .* {WHERE}\.url"):
        await DatabaseBooks(settings, WHERE).read(0, 1)


async def test_a_server_without_tls_is_refused(
    mariadb_tree: mariadb.Tree, databases: dict[str, Tables], signer: Authority
) -> None:
    """Nothing goes in clear text where TLS was asked for, whatever the server says."""
    with TlsMariaDB(mariadb_tree) as server:
        without = [databases["postgresql"], replace(databases["mariadb"], port=server.port)]
        for tables in without:
            with pytest.raises(BookUnreadable, match=rf"no TLS.* {WHERE}\.ca_file"):
                await Guarded(tables, signer).books(signer.ca).read(0, 1)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path, databases: dict[str, Tables]) -> None:
    """At the start, by the key's name."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for tables in databases.values():
        with pytest.raises(ConfigError, match=rf"{WHERE}\.ca_file: cannot be used"):
            Guarded(tables, Authority(tmp_path)).books(tmp_path / "ca.pem")
