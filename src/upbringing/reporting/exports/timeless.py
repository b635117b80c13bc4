"""Archives without the time at which they were written, so that the same contents are the same bytes."""

from __future__ import annotations

import io
import struct
import zipfile

FIRST_DAY = (0, 0x21)  # midnight, 1 January 1980, in the two fields of a ZIP header
LOCAL_TIME, CENTRAL_TIME, CENTRAL_LENGTHS, CENTRAL_SIZE = 10, 12, 28, 46  # offsets within the headers


def without_times(archive: bytes) -> bytes:
    """Return a ZIP archive with every entry dated 1 January 1980; contents and compression stay as they are."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        entries, place = opened.infolist(), opened.start_dir
    found = bytearray(archive)
    for entry in entries:
        struct.pack_into("<HH", found, entry.header_offset + LOCAL_TIME, *FIRST_DAY)
        struct.pack_into("<HH", found, place + CENTRAL_TIME, *FIRST_DAY)
        place += CENTRAL_SIZE + sum(struct.unpack_from("<HHH", found, place + CENTRAL_LENGTHS))
    return bytes(found)
