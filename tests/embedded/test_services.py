"""The servers of the test run itself: what the role may do, and that both answer."""

from __future__ import annotations

import pytest
import redis
from django.conf import settings
from django.db import connection


@pytest.mark.django_db
def test_the_portal_role_is_no_superuser() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)
        cursor.execute("SELECT 1 FROM pg_stat_ssl LIMIT 1")


def test_redis_wants_its_password() -> None:
    url = settings.REDIS_URL
    with redis.Redis.from_url(url, socket_timeout=30) as client:
        assert client.ping()
    with (
        redis.Redis.from_url("redis://" + url.rsplit("@", 1)[1], socket_timeout=30) as stranger,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        stranger.ping()
