"""What may be sent: one model for each body. Unknown fields are refused, none is guessed."""

from typing import Annotated, Literal

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


Book = Literal["queue_log", "cdr_csv", "cel_csv"]


class BookPart(Body):
    """What follows in one file of a book."""

    book: Book
    file: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] = Field(
        description="which file: the first 32 hexadecimal digits of the SHA-256 of its first line, line end included"
    )
    offset: Annotated[int, Field(ge=0, lt=2**53)] = Field(description="bytes of the file before `text`")
    text: Annotated[str, Field(max_length=256 * 1024)] = Field(
        description="the lines as they stand there; each byte that is not UTF-8 is sent as a question mark"
    )


class Shipment(Body):
    """What is new in the books of a PBX."""

    books: Annotated[list[Book], Field(min_length=1, max_length=3)] = Field(
        description="the books that are sent"
    )
    parts: Annotated[list[BookPart], Field(max_length=200)]
    complete_until: InstantParameter | None = Field(
        None, description="with this everything was sent that the books held then, by the clock of the PBX"
    )
    trouble: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        "", description="why a book cannot be read there; empty when all can"
    )
