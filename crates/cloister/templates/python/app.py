"""Stamps documents: what was shown to this app, and when.

Each export of wit/service.wit is a method of `WitWorld`, and each interface that it imports is a module of `wit_world.imports`.
The clock is Python's own: `time` asks WASI.
"""

import time

from componentize_py_types import Err
from wit_world import Stamp, WitWorld as World
from wit_world.imports import crypto
from wit_world.imports.crypto import DigestAlgorithm

from text import normal


class WitWorld(World):
    """An `Err` that is raised becomes the error of the `result`."""

    def stamp_document(self, document: str) -> Stamp:
        return Stamp(digest=digest_of(document), seen=int(time.time()))

    def check(self, document: str, stamp: Stamp) -> bool:
        return digest_of(document) == stamp.digest.lower()


def digest_of(document: str) -> str:
    """SHA-256 in hex digits, computed by the enclave."""
    text = normal(document)
    if not text:
        raise Err("there is nothing in the document")
    return crypto.digest(DigestAlgorithm.SHA256, text.encode()).hex()
