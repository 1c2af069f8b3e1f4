"""What the store reports in our words; the daemon turns it into its own hierarchy."""


class StoreError(Exception):
    """The database cannot be used, or refused something; the text says what to do and holds no password."""


class StoreAway(StoreError):
    """The database cannot be reached, or takes nothing, for now; the same may work later without anything being changed."""


class BadCursor(ValueError):
    """A page was asked for with a cursor that is not one of ours; the caller's mistake, not the database's."""


class BadLimit(ValueError):
    """A page of no or too many rows was asked for."""
