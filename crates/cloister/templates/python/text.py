"""What makes no difference in a document. Nothing here knows of an enclave, so `python3 -m unittest` tests it."""


def normal(document: str) -> str:
    """The document with "\\n" at the ends of its lines, and nothing after its last word."""
    return document.replace("\r\n", "\n").rstrip(" \t\r\n")
