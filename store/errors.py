"""What the store reports in our words; the daemon turns it into its own hierarchy."""


class StoreError(Exception):
    """The database cannot be used, or refused something; the text says what to do and holds no password."""
