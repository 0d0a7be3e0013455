"""The media service: announcing a picture, confirming its upload, reading it. Not here: the bytes and their URLs (objects.py)."""

from __future__ import annotations

from pathlib import PurePosixPath

from emulators.platform.database import MediaRow, to_text, to_uuid
from emulators.platform.state import DEFAULT_URL_SECONDS, MediaError, PlatformState, ServedCall, to_time
from resources.platform.proto import media_pb2

EXTENSIONS = {
    "image/jpeg": {".jpg", ".jpeg"},
    "image/png": {".png"},
    "image/webp": {".webp"},
    "image/gif": {".gif"},
    "image/avif": {".avif"},
}
LONGEST_URL_SECONDS = 7 * 24 * 3600


class MediaService:
    """``media.MediaService``. Its ids have no dashes in the answer of GetPresignedUploadURL, and dashes elsewhere."""

    def __init__(self, state: PlatformState) -> None:
        self._state = state

    def GetPresignedUploadURL(  # noqa: N802
        self, request: media_pb2.GetPresignedUploadURLRequest, call: ServedCall
    ) -> media_pb2.GetPresignedUploadURLResponse:
        """Create a row for the picture; return the URL for its bytes."""
        _check_upload(request)
        database, world_id, media_id = self._state.database, to_uuid(request.world_id), call.dice.uuid("media")
        character_id = to_uuid(request.character_id) if request.character_id else None
        row = MediaRow(
            id=str(media_id),
            world_id=world_id,
            character_id=character_id,
            filename=to_text(request.filename),
            content_type=request.content_type,
            size=request.size,
            media_type=request.media_type,
            object_name=f"{world_id}/{character_id or 'world'}/{media_id.hex}{_extension(request.filename)}",
            created_at=database.now(),
        )
        database.insert_media(row)
        url, expires = self._state.objects.presign_put(row.object_name, row.content_type, row.size, call.url_seconds)
        return media_pb2.GetPresignedUploadURLResponse(media_id=media_id.hex, upload_url=url, expires_at=expires)

    def ConfirmUpload(self, request: media_pb2.ConfirmUploadRequest, _: ServedCall) -> media_pb2.ConfirmUploadResponse:  # noqa: N802
        """Make the picture visible; confirming twice changes nothing."""
        row = self._state.media(request.media_id)
        if self._state.objects.size(row.object_name) is None:
            raise MediaError("failed to confirm upload: The specified key does not exist.")
        self._state.database.media[row.id] = row.model_copy(update={"confirmed": True})
        return media_pb2.ConfirmUploadResponse(success=True, variants=self._variants(row))

    def GetMedia(self, request: media_pb2.GetMediaRequest, _: ServedCall) -> media_pb2.Media:  # noqa: N802
        """The picture's row."""
        row = self._state.media(request.media_id)
        return media_pb2.Media(
            media_id=row.id,
            character_id=row.character_id or "",
            world_id=row.world_id,
            filename=row.filename,
            content_type=row.content_type,
            size=row.size,
            variants=self._variants(row) if row.confirmed else [],
            created_at=to_time(row.created_at),
            media_type=media_pb2.MediaType.Name(row.media_type),
        )

    def GetMediaURL(self, request: media_pb2.GetMediaURLRequest, _: ServedCall) -> media_pb2.GetMediaURLResponse:  # noqa: N802
        """A URL for reading the picture. Every variant is the picture itself."""
        seconds = min(max(request.expires_in, 0) or DEFAULT_URL_SECONDS, LONGEST_URL_SECONDS)
        url, expires = self._state.objects.presign_get(self._state.media(request.media_id).object_name, seconds)
        return media_pb2.GetMediaURLResponse(url=url, expires_at=expires)

    def _variants(self, row: MediaRow) -> list[media_pb2.MediaVariant]:
        return [media_pb2.MediaVariant(name="original", url=self._state.media_url(row.id))]


def _check_upload(request: media_pb2.GetPresignedUploadURLRequest) -> None:
    if request.media_type not in media_pb2.MediaType.values()[1:]:
        raise MediaError(f"invalid media type: {request.media_type}")
    if request.content_type not in EXTENSIONS:
        raise MediaError(f"unsupported content type: {request.content_type}")
    if _extension(request.filename) not in EXTENSIONS[request.content_type]:
        raise MediaError(f"file extension of {request.filename!r} does not match content type {request.content_type}")
    if request.size <= 0:
        raise MediaError(f"invalid size: {request.size}")


def _extension(filename: str) -> str:
    return PurePosixPath(filename).suffix.lower()
