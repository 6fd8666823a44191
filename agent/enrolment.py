"""What an agent is told on its standard input when it is started."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from clustertune.model.codec import FieldError, from_plain
from clustertune.model.errors import Mistake


@dataclass(frozen=True)
class Enrolment:
    """``socket`` is the coordinator's; ``token`` proves who we are and is never written or shown.

    ``files`` is the unix socket where checkpoints go and come from; empty: there is none, and they stay here. Where
    both are to be told later, ``socket`` is empty, too. ``slots``: how many trials the user wants at once here, None
    for as many as fit. ``orphan_after_s``: after so long without a coordinator the trials are ended. ``ping_s``: so
    often the coordinator is asked for a sign of life; after three times as long without one the link is dead.
    """

    socket: str
    instance: str
    epoch: int
    token: str = field(repr=False)
    files: str = ""
    slots: int | None = None
    orphan_after_s: float = 7200.0
    ping_s: float = 5.0


def read_enrolment(text: str) -> Enrolment:
    """Raises Mistake, which never quotes the text: the token is in it."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Mistake("standard input must hold one JSON object: socket, instance, epoch, token") from error
    try:
        enrolment: Enrolment = from_plain(Enrolment, plain)
    except FieldError as error:
        named = str(error).split(",")[0]
        raise Mistake(f"the JSON object on standard input is not an enrolment: {named}") from None
    return enrolment
