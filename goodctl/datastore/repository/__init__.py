"""One Icechunk repository in its place: the only room that imports icechunk.

Nothing outside of it knows that a store is a folder, or that writers exclude one another with a file lock.
"""

from __future__ import annotations

import os

os.environ.setdefault("ICECHUNK_LOG", "error")  # read at import: its warnings would go to the user's terminal

from goodctl.datastore.repository.faults import damaged_metadata, translated_errors
from goodctl.datastore.repository.lock import writer_lock
from goodctl.datastore.repository.place import (
    check_place,
    discard_place,
    inside,
    is_store,
    missing_folders,
    stores_in,
    taken_back_on_failure,
)
from goodctl.datastore.repository.repository import Repository
from goodctl.datastore.repository.session import Session

__all__ = [
    "Repository",
    "Session",
    "check_place",
    "damaged_metadata",
    "discard_place",
    "inside",
    "is_store",
    "missing_folders",
    "stores_in",
    "taken_back_on_failure",
    "translated_errors",
    "writer_lock",
]
