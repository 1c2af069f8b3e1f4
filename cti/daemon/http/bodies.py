"""What may be sent: one model for each body. Unknown fields are refused, none is guessed."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cti.core.faults import HandKind
from cti.daemon.http.instants import InstantParameter
from cti.daemon.http.params import Text

Detail = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Body(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultOpening(Body):
    """Something is broken that no machine sees."""

    kind: HandKind
    detail: Detail = Field(description="what is broken, and whose")
    pbx: Text | None = Field(None, description="the PBX's name in the configuration; none when left out")
    at: InstantParameter | None = Field(None, description="when it began; now when left out")
    reported_by: Text | None = Field(None, description="who reports it")


class FaultClosing(Body):
    """It works again."""

    at: InstantParameter | None = Field(None, description="since when; now when left out")
