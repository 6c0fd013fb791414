"""Encryption of what the database must hold but need not show: identifiers and passwords of other systems.

AES-256-GCM. Each clinic's key is derived from the portal's ``SECRET_KEY`` and the clinic's own random key
(HKDF-SHA256), so that neither a copy of the database nor the environment alone opens anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

_NONCE_BYTES = 12


class DecryptionError(Exception):
    """The bytes were encrypted with another key, for another purpose or row, or were changed."""


def encrypt(plain: bytes, *, key: bytes | memoryview, purpose: str, row: str) -> bytes:
    """Encrypt bytes for one purpose and one row: under another they do not decrypt."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    cipher = AESGCM(_derived(settings.SECRET_KEY, key, purpose))
    return nonce + cipher.encrypt(nonce, plain, row.encode())


def decrypt(content: bytes | memoryview, *, key: bytes | memoryview, purpose: str, row: str) -> bytes:
    """The bytes that were encrypted with the same key, purpose and row. Raises `DecryptionError`."""
    content = bytes(content)
    for secret in _secrets():
        try:
            cipher = AESGCM(_derived(secret, key, purpose))
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], row.encode())
        except (InvalidTag, ValueError):
            continue
    raise DecryptionError(f"What was encrypted for {purpose} cannot be opened with the present SECRET_KEY.")


def _secrets() -> Iterator[str | bytes]:
    yield settings.SECRET_KEY
    yield from settings.SECRET_KEY_FALLBACKS


def _derived(secret: str | bytes, key: bytes | memoryview, purpose: str) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=bytes(key), info=purpose.encode())
    return derivation.derive(force_bytes(secret))
