"""From the settings to the books of a PBX, wherever they are."""

from config.settings import Settings
from cti.daemon.bookdb import DatabaseBooks
from cti.daemon.books import Books
from cti.daemon.shipped import ShippedBooks


def shipped_of(settings: Settings, pbx: str) -> ShippedBooks | None:
    """Where what `cti ship-books` sends of a PBX is kept; None when nothing is to come that way."""
    sources = settings.pbx[pbx].books
    if sources is None or not sources.shipped:
        return None
    return ShippedBooks(settings.data_dir / "books" / pbx, sources.shipped, keep=sources.keep)


def books_of(settings: Settings, pbx: str, shipped: ShippedBooks | None = None) -> Books:
    """The books of a PBX; raises `cti.daemon.errors.ConfigError`."""
    of_pbx = settings.pbx[pbx]
    sources = of_pbx.books
    database = None
    if sources is not None and sources.of_database():
        database = DatabaseBooks(sources, f"pbx.{pbx}.books")
    return Books(
        of_pbx,
        shipped=shipped or shipped_of(settings, pbx),
        database=database,
        where=f"pbx.{pbx}",
        timezone=of_pbx.timezone,
    )
