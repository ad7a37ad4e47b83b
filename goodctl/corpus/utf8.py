"""The error for bytes that are not UTF-8."""

from __future__ import annotations

from goodctl.errors import InputError

BOM = b"\xef\xbb\xbf"


def not_utf8(name: str, line: int, offset: int, byte: int) -> InputError:
    """Says where the first byte is that is not UTF-8, and how to convert the file.

    Args:
        name: The file.
        line: 1-based line of the byte.
        offset: 0-based offset of the byte, in the decompressed content.
        byte: Its value.
    """
    # A UTF-16 file starts with FF FE or FE FF, which UTF-8 never does.
    encoding = "UTF-16" if offset == 0 and byte in {0xFE, 0xFF} else "ISO-8859-1"
    return InputError(
        f"{name}:{line}: not UTF-8: byte 0x{byte:02x} at byte offset {offset}",
        hint=f"Convert the file from its encoding, perhaps: iconv -f {encoding} -t UTF-8 {name} > converted",
    )
