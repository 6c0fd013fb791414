"""Celery's Redis transport, with one mend for a Redis that goes away.

A worker's parent reads from Redis only while it holds fewer messages than it may. A message that it fails to
acknowledge or to give back, because Redis is away, stays counted for good in kombu 5.7: once every place is
taken so, the parent never reads again, never sees the broken connection, and never works again. Here such a
message is let go of. Redis still has it, and hands it out anew after the visibility timeout.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class QoS(redis.QoS):
    """The messages that a consumer holds and has not acknowledged."""

    def ack(self, delivery_tag: str) -> None:
        """Raises what Redis raises; the message's place is free all the same."""
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Raises what Redis raises; the message's place is free all the same."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    """A channel that holds its messages in the `QoS` of this module."""

    QoS = QoS


class Transport(redis.Transport):
    """A transport that opens the `Channel` of this module."""

    Channel = Channel


def use() -> None:
    """Make ``redis://`` and ``rediss://`` use this transport: kombu chooses by the address alone."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
