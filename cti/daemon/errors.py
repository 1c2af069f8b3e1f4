"""What can go wrong at the edges, in our words: libraries' exceptions are translated into these.

A message names what was tried, with which value, and what to do about it; it is fit to be shown to a person and
never holds a secret.
"""


class CtiError(Exception):
    """Anything this program reports about itself or its surroundings."""


class ConfigError(CtiError):
    """The settings are well-formed and still cannot work (for what a file got wrong: `config.settings.ConfigError`)."""


class AmiError(CtiError):
    """Anything about the manager interface of a PBX."""


class LoginRefused(AmiError):
    """The PBX does not let this account in."""


class LinkDown(AmiError):
    """There is no connection, or it broke before the answer came: whether the action was done is unknown."""


class ActionFailed(AmiError):
    """The PBX answered with an error; the text is the PBX's own."""


class ActionTimeout(AmiError):
    """No answer in time: whether the action was done is unknown."""


class StoreError(CtiError):
    """The database cannot be used, or refused something."""


class ImportRefused(CtiError):
    """A file of people, rosters or calendars holds something that cannot be."""


class PublishError(CtiError):
    """The roster could not be put into the PBX."""


class RecordingError(CtiError):
    """A recording cannot be written or read."""


class SpoolError(CtiError):
    """The spool cannot be used: its directory cannot be written, or another daemon has it."""
