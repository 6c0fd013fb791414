"""Files for the browser to save, sent while they are made."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import StreamingHttpResponse


def attachment(
    content: Iterable[str] | Iterable[bytes], *, filename: str, media_type: str
) -> StreamingHttpResponse:
    """The response that sends ``content`` piece by piece, to be saved under ``filename``."""
    return StreamingHttpResponse(
        content,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "private, no-store",
        },
    )
