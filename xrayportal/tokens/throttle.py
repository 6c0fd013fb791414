"""The limit on requests a minute, of the API and DICOMweb together, counted for each token in Redis.

Without Redis nothing is counted.
"""

from __future__ import annotations

import functools
import logging
import time

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_WINDOW = 60
#: A Redis that does not answer at once is away; for this long no request tries it again.
_PATIENCE = 0.25
_QUIET_SECONDS = 5.0
_quiet_until = 0.0


def seconds_to_wait(key: str) -> float:
    """Count one request under this key; how long to wait before the next one is answered, 0 if not at all."""
    global _quiet_until
    most = settings.API_REQUESTS_A_MINUTE
    now = time.time()
    if not most or time.monotonic() < _quiet_until:
        return 0.0
    window = int(now) // _WINDOW
    name = f"{settings.REDIS_KEY_PREFIX}api-requests:{key}:{window}"
    try:
        with _redis(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            pipe.incr(name)
            pipe.expire(name, 2 * _WINDOW)
            count, _set = pipe.execute()
    except (RedisError, OSError) as error:
        _quiet_until = time.monotonic() + _QUIET_SECONDS
        logger.warning("Redis counts no requests of the API: %s", type(error).__name__)
        return 0.0
    return (window + 1) * _WINDOW - now if count > most else 0.0


@functools.cache
def _redis(address: str) -> Redis:
    return Redis.from_url(
        address,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
