"""The file types that the site accepts, judged by name and content as WordPress does."""

from __future__ import annotations

# The file types that WordPress allows guests to upload, by extension.
CONTENT_TYPES = {
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

_IMAGE_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_BINARY_SIGNATURES = (b"%PDF", b"PK\x03\x04", b"OggS", b"RIFF", b"ID3", b"fLaC")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_TEXT_BYTES = bytes({*b"\a\b\t\n\v\f\r\x1b", *range(32, 256)})


def file_extension(name: str) -> str:
    """Return the extension of a file name in lower case, without the dot."""
    return name.rpartition(".")[2].lower()


def is_accepted(name: str, data: bytes) -> bool:
    """
    Return whether the site accepts a file: its extension is known, and its content fits.

    Source: WordPress core, wp_check_filetype_and_ext with PHP's fileinfo.
    """
    media_type = CONTENT_TYPES.get(file_extension(name), "")
    major = media_type.partition("/")[0]
    if not data or not major:
        return False
    return _major_type(data) == (major if major in ("image", "text") else "other")


def _major_type(data: bytes) -> str:
    """Return what the first bytes of a file show: "image", "text" or "other"."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if data.startswith(_IMAGE_SIGNATURES) or is_webp:
        return "image"
    if data.startswith(_BINARY_SIGNATURES):
        return "other"
    is_text = data.startswith(_UTF_16_MARKS) or not data[:1024].translate(None, _TEXT_BYTES)
    return "text" if is_text else "other"
