"""Static files under names that change with their content, so that browsers may keep them forever."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between JavaScript modules, which name each other relatively.

    Django finds imports by regular expressions, in comments too. Modules of ours import types by ``@import``
    tags without a semicolon, which it leaves alone: types may refer to each other in circles, hashes cannot.
    """

    support_js_module_import_aggregation = True
    #: In the worst order of files a pass settles one level of imports: room for longer chains than Django's.
    max_post_process_passes = 12

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses: dict[str, str] = {}

    def url(self, name: str, force: bool = False) -> str:
        """The address of a file; found out once, because a process reads the list of hashed names once."""
        if settings.DEBUG or force:
            return str(super().url(name, force))
        if name not in self._addresses:
            self._addresses[name] = str(super().url(name))
        return self._addresses[name]
