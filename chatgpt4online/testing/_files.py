"""The files that visitors upload, and those that bots paint."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode
from dataclasses import dataclass
from itertools import count
from typing import Any, Dict, Iterable, Optional, Set

from ._http import Answer
from ._model import RefusalError
from ._place import Place
from ._wordpress import GUEST, Call, Upload, User, json_answer

LIFETIME = 3600  # seconds, as the plugin has it by default

TAKEN = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "txt": "text/plain",
    "csv": "text/csv",
    "zip": "application/zip",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
}

DOT = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def ending(name: str) -> str:
    """Return what a file's name ends in, which decides its type."""
    return name.rpartition(".")[2].lower()


@dataclass(frozen=True)
class StoredFile:
    """One file on the site; ``id`` is its public name, ``row`` its number in the database."""

    row: int
    id: str
    user: User
    session: str
    purpose: str
    path: str
    data: bytes
    created: float
    expires: float

    @property
    def content_type(self) -> str:
        """Its media type, by its ending."""
        return TAKEN[ending(self.path)]

    @property
    def type(self) -> str:
        """What the plugin takes it for."""
        return "image" if self.content_type.startswith("image/") else "file"


def check_type(upload: Upload, status: int) -> None:
    """
    Check that the site takes files of this kind.

    Raises:
        RefusalError: it does not.
    """
    if ending(upload.name) not in TAKEN:
        raise RefusalError("Invalid file type.", status)


class Files:
    """
    The files of a site, and the routes ``files/*``.

    Source: AI Engine 3.6.2 and 2.4.7, mwai-ui/v1/files/upload, /list and /delete.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._rows = count(1)
        self._kept: Dict[str, StoredFile] = {}

    def add(
        self, upload: Upload, purpose: str, user: User, session: str, lifetime: float = LIFETIME
    ) -> StoredFile:
        """Keep a file for so many seconds."""
        now = self._place.clock.now()
        name = secrets.token_hex(16)
        folder = time.strftime("/wp-content/uploads/%Y/%m/", time.gmtime(now))
        path = f"{folder}{name}.{ending(upload.name)}"
        times = (now, now + lifetime)
        kept = StoredFile(next(self._rows), name, user, session, purpose, path, upload.data, *times)
        self._kept[name] = kept
        return kept

    def paint(self, user: User, session: str) -> StoredFile:
        """Keep a painted picture of one dot."""
        return self.add(Upload("painting.png", DOT), "generated", user, session)

    def url(self, file: StoredFile) -> str:
        """Return the public address of a file."""
        return self._place.url + file.path

    def alive(self) -> Iterable[StoredFile]:
        """Return the files that have not expired."""
        now = self._place.clock.now()
        return [file for file in self._kept.values() if file.expires > now]

    def named(self, ids: Iterable[str]) -> Iterable[StoredFile]:
        """Return the files of these ids, passing over those that are not there."""
        alive = {file.id: file for file in self.alive()}
        return [alive[name] for name in ids if name in alive]

    def served(self, path: str) -> Optional[Answer]:
        """Return the file at a path of the site."""
        for file in self.alive():
            if self._place.path + file.path == path:
                return Answer(200, (("Content-Type", file.content_type),), (file.data,))
        return None

    # Routes.

    def upload(self, call: Call) -> Answer:
        """Take an uploaded file in."""
        upload = call.uploads.get("file")
        if not upload:
            raise RefusalError("No file provided.", 400)
        if not call.text("purpose"):
            raise RefusalError("Purpose is required.", 400)
        check_type(upload, 400)
        return self.keep(call, upload, self._purpose(call.text("purpose")))

    def keep(self, call: Call, upload: Upload, purpose: str, lifetime: float = LIFETIME) -> Answer:
        """Keep a file for the caller, and say where it is."""
        session = call.session() if call.user is GUEST else ""
        kept = self.add(upload, purpose, call.user, session, lifetime)
        return json_answer({"success": True, "data": {"id": kept.id, "url": self.url(kept)}})

    def list(self, call: Call) -> Answer:
        """Return a page of the caller's files."""
        if call.fields.get("userId") not in (None, call.user.id, str(call.user.id)):
            raise RefusalError("Unauthorized access to other user files", 403)
        wanted = self._purposes(call)
        own = [file for file in self.alive() if file.user.id == call.user.id]
        rows = [file for file in own if not wanted or file.purpose in wanted]
        limit, page = call.number("limit", 10), call.number("page", 1)
        shown = rows[limit * (page - 1) : limit * page]
        data = {"files": [self._row(file) for file in shown], "total": str(len(rows))}
        return json_answer({"success": True, "data": data})

    def delete(self, call: Call) -> Answer:
        """Delete the caller's files."""
        names = {str(name): None for name in call.fields.get("files") or []}
        if not self._place.profile.owned_files:
            # These versions know files by their numbers, and ignore what they do not know.
            for file in self.alive():
                if str(file.row) in names:
                    del self._kept[file.id]
            return json_answer({"success": True})
        files = self.named(names)
        if not files:
            raise RefusalError("No valid files to delete", 400)
        owned = [file for file in files if self._is_owned(file, call)]
        if not owned:
            raise RefusalError("No authorized files to delete", 403)
        for file in owned:
            del self._kept[file.id]
        return json_answer({"success": True, "deleted": len(owned)})

    def _is_owned(self, file: StoredFile, call: Call) -> bool:
        if call.user is GUEST:
            return file.user is GUEST and file.session == call.session()
        return file.user.id == call.user.id

    def _purpose(self, named: str) -> str:
        """Later versions know two purposes, and take the names of earlier ones for the first."""
        if not self._place.profile.owned_files or named == "generated":
            return named
        return "analysis"

    def _purposes(self, call: Call) -> Set[str]:
        wanted = call.fields.get("purpose") or []
        names = wanted if isinstance(wanted, list) else [wanted]
        return {self._purpose(str(name)) for name in names}

    def _row(self, file: StoredFile) -> Dict[str, Any]:
        created = self._place.clock.text(file.created)
        return {
            "id": str(file.row),
            "refId": file.id,
            "envId": "default",
            "userId": str(file.user.id) if file.user.id else None,
            "type": file.type,
            "status": "uploaded",
            "purpose": file.purpose,
            "created": created,
            "updated": created,
            "expires": self._place.clock.text(file.expires),
            "path": f"/var/www/html{file.path}",
            "url": self.url(file),
            "metadata": {"query_envId": "default", "query_session": file.session},
        }
