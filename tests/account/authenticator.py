"""A security key made of software: it answers like a browser with a device, truthfully or not."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One key pair; what it says of itself can be set, to say something wrong."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.origin = "http://testserver"
        self.domain = "testserver"
        self.flags = PRESENT | VERIFIED
        self.count = 0

    def make(self, options: dict[str, Any], **changed: Any) -> str:
        """The answer to `creation_options`."""
        public = cbor.encode(dict(ES256.from_cryptography_key(self.key.public_key())))
        credential = bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        data = self._data(self.flags | ATTESTED) + credential
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        said = {"attestationObject": attestation, "clientDataJSON": self._client("webauthn.create", options)}
        return self._answer(said, changed)

    def use(self, options: dict[str, Any], **changed: Any) -> str:
        """The answer to `request_options`."""
        client, data = self._client("webauthn.get", options), self._data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        said = {"authenticatorData": data, "clientDataJSON": client, "signature": signature}
        return self._answer(said, changed)

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.domain.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["publicKey"]["challenge"], "origin": self.origin}
        return json.dumps(said).encode()

    def _answer(self, said: dict[str, bytes], changed: dict[str, Any]) -> str:
        response = {name: websafe_encode(value) for name, value in {**said, **changed}.items()}
        identity = websafe_encode(self.id)
        return json.dumps({"id": identity, "rawId": identity, "type": "public-key", "response": response})
