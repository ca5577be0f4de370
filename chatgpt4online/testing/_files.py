"""The files of the site: uploads of visitors, and images that bots generate."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Dict, Iterable, List, Optional, Set

from ._config import SiteConfig
from ._filetypes import CONTENT_TYPES, file_extension, is_accepted
from ._http import HTTPResponse
from ._model import FatalError, PluginError
from ._responses import critical_error, json_response
from ._rest import RestRequest, Upload
from ._users import GUEST, User

DEFAULT_LIFETIME = 3600  # seconds; the plugin's option image_expires
DEFAULT_LIMIT = 10  # rows of a list

ONE_PIXEL_PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@dataclass(frozen=True)
class StoredFile:
    """
    One file on the site.

    ``id`` is its public id, ``row_id`` its number in the database; it is ``used`` once it was part
    of a question.
    """

    row_id: int
    id: str
    user: User
    session: str
    purpose: str
    path: str
    data: bytes
    created: float
    expires: float
    used: bool = False

    @property
    def content_type(self) -> str:
        """The media type, according to the extension."""
        return CONTENT_TYPES[file_extension(self.path)]

    @property
    def is_image(self) -> bool:
        """Whether the file is an image, according to the extension."""
        return self.content_type.startswith("image/")


def check_type(upload: Upload, status: int) -> None:
    """
    Check that the site accepts a file of this type and content.

    Raises:
        PluginError: it does not.
    """
    if not is_accepted(upload.name, upload.data):
        raise PluginError("Invalid file type.", status)


class Files:
    """
    The files of a site, and the routes ``files/*``.

    Source: AI Engine 3.6.2 and 2.4.7, mwai-ui/v1/files/upload, /list and /delete.
    """

    def __init__(self, config: SiteConfig) -> None:
        self._config = config
        self._profile = config.profile
        self._row_ids = count(1)
        self._by_id: Dict[str, StoredFile] = {}

    def add(
        self,
        upload: Upload,
        purpose: str,
        user: User,
        session: str,
        lifetime: float = DEFAULT_LIFETIME,
    ) -> StoredFile:
        """Store a file for ``lifetime`` seconds."""
        now = self._config.clock.now()
        file_id = secrets.token_hex(16)
        folder = time.strftime("/wp-content/uploads/%Y/%m/", time.gmtime(now))
        path = folder + self._stored_name(file_id, upload)
        owner = (user, session)
        times = (now, now + lifetime)
        row_id = next(self._row_ids)
        stored = StoredFile(row_id, file_id, *owner, purpose, path, upload.data, *times)
        self._by_id[file_id] = stored
        return stored

    def _stored_name(self, file_id: str, upload: Upload) -> str:
        if self._profile.keeps_file_names:
            return upload.name.replace(" ", "-")
        return f"{file_id}.{file_extension(upload.name)}"

    def add_image(self, user: User, session: str) -> StoredFile:
        """Store a generated image of one pixel."""
        return self.add(Upload("image.png", ONE_PIXEL_PNG), "generated", user, session)

    def url(self, file: StoredFile) -> str:
        """Return the public URL of a file."""
        return self._config.url + file.path

    def unexpired(self) -> List[StoredFile]:
        """Return the files that have not expired."""
        now = self._config.clock.now()
        return [file for file in self._by_id.values() if file.expires > now]

    def find(self, file_ids: Iterable[str]) -> List[StoredFile]:
        """Return the files with these ids; unknown ids are skipped."""
        by_id = {file.id: file for file in self.unexpired()}
        return [by_id[file_id] for file_id in file_ids if file_id in by_id]

    def use(self, file_ids: Iterable[str]) -> List[StoredFile]:
        """
        Return the files of a question, which count as used from now on.

        Raises:
            FatalError: an id is unknown, and the version fails then.
        """
        wanted = list(file_ids)
        files = self.find(wanted)
        if self._profile.unknown_file_fails and len(files) < len(wanted):
            raise FatalError
        for file in files:
            purpose = self._profile.used_purpose or file.purpose
            self._by_id[file.id] = replace(file, purpose=purpose, used=True)
        return files

    def download(self, path: str) -> Optional[HTTPResponse]:
        """Return the response for the file at a path of the site; None if there is none."""
        for file in self.unexpired():
            if self._config.path + file.path == path:
                return HTTPResponse(200, (("Content-Type", file.content_type),), (file.data,))
        return None

    # Routes.

    def upload(self, request: RestRequest) -> HTTPResponse:
        """Store an uploaded file."""
        upload = request.uploads.get("file")
        if upload and len(upload.data) > self._config.upload_max_filesize:
            return critical_error(as_page=True)
        if not upload:
            raise PluginError("No file provided.", 400)
        if not request.text("purpose"):
            raise PluginError("Purpose is required.", 400)
        check_type(upload, 400)
        return self.store(request, upload, request.text("purpose"))

    def store(
        self,
        request: RestRequest,
        upload: Upload,
        purpose: str,
        lifetime: float = DEFAULT_LIFETIME,
    ) -> HTTPResponse:
        """Store a file for the sender of a request, and return its id and URL."""
        session = request.session_id() if request.user is GUEST else ""
        file = self.add(upload, purpose, request.user, session, lifetime)
        return json_response({"success": True, "data": {"id": file.id, "url": self.url(file)}})

    def list(self, request: RestRequest) -> HTTPResponse:
        """Return a page of the sender's files."""
        user = request.user
        if request.fields.get("userId") not in (None, user.id, str(user.id)):
            raise PluginError("Unauthorized access to other user files", 403)
        wanted = _wanted_purposes(request)
        owned = [file for file in self.unexpired() if file.user.id == user.id]
        found = [file for file in owned if not wanted or file.purpose in wanted]
        limit, page = request.number("limit", DEFAULT_LIMIT), request.number("page", 1)
        rows = [self._row(file) for file in found[limit * (page - 1) : limit * page]]
        data = {"files": rows, "total": str(len(found))}
        return json_response({"success": True, "data": data})

    def delete(self, request: RestRequest) -> HTTPResponse:
        """Delete the sender's files; earlier versions delete anybody's, by row number."""
        file_ids = {str(file_id): None for file_id in request.items("files")}
        if not self._profile.file_owners:
            self._remove(file for file in self.unexpired() if str(file.row_id) in file_ids)
            return json_response({"success": True})
        files = self.find(file_ids)
        if not files:
            raise PluginError("No valid files to delete", 400)
        owned = [file for file in files if self._is_owner(file, request)]
        if not owned:
            raise PluginError("No authorized files to delete", 403)
        self._remove(owned)
        return json_response({"success": True, "deleted": len(owned)})

    def _remove(self, files: Iterable[StoredFile]) -> None:
        for file in files:
            del self._by_id[file.id]

    def _is_owner(self, file: StoredFile, request: RestRequest) -> bool:
        if request.user is GUEST:
            return file.user is GUEST and file.session == request.session_id()
        return file.user.id == request.user.id

    def _row(self, file: StoredFile) -> Dict[str, Any]:
        created = self._config.clock.format(file.created)
        return {
            "id": str(file.row_id),
            "refId": file.id,
            "envId": "default" if file.used else None,
            "userId": str(file.user.id) if file.user.id else None,
            "type": "image" if file.is_image and self._profile.lists_types else "file",
            "status": "uploaded",
            "purpose": file.purpose,
            "created": created,
            "updated": created,
            "expires": self._config.clock.format(file.expires),
            "path": f"/var/www/html{file.path}",
            "url": self.url(file),
            "metadata": self._metadata(file),
        }

    def _metadata(self, file: StoredFile) -> Any:
        """Return a row's metadata; an empty array is a list in PHP."""
        return {"query_envId": "default", "query_session": file.session} if file.used else []


def _wanted_purposes(request: RestRequest) -> Set[str]:
    wanted = request.fields.get("purpose") or []
    return {str(purpose) for purpose in (wanted if isinstance(wanted, list) else [wanted])}
