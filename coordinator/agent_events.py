"""What an agent says, as the core is told of it."""

from __future__ import annotations

from clustertune.coordinator.core import events as e
from clustertune.coordinator.plausible import bounded, line, lines
from clustertune.model.messages import Described, Ended, Held, Numbered, Reports, Saved, Started, StoreTrouble


def as_event(instance: str, epoch: int, message: Numbered) -> e.Happening:
    match message:
        case Started():
            return e.AttemptRan(instance=instance, epoch=epoch, attempt=message.attempt)
        case Reports():
            return e.Reported(
                instance=instance,
                epoch=epoch,
                attempt=message.attempt,
                reports=message.reports,
                notices=lines(message.notices),
            )
        case Saved():
            return e.CheckpointSaved(
                instance=instance,
                epoch=epoch,
                attempt=message.attempt,
                kind=message.kind,
                resource=message.resource,
                digest=message.digest,
                size_bytes=message.size_bytes,
                wanted=message.wanted,
            )
        case Held():
            return e.CheckpointsHeld(instance=instance, epoch=epoch, digests=message.digests)
        case StoreTrouble():
            return e.StoringFailed(
                instance=instance,
                epoch=epoch,
                attempt=message.attempt,
                digest=message.digest,
                error=line(message.error),
            )
        case Described():
            return e.AttemptDescribed(
                instance=instance,
                epoch=epoch,
                attempt=message.attempt,
                provenance=message.provenance,
                content=message.content,
                told=message.told,
            )
        case Ended():
            return e.AttemptOver(
                instance=instance, epoch=epoch, attempt=message.attempt, ending=bounded(message.ending)
            )
