"""The store that a path or URL names."""

from __future__ import annotations

from foveate.copying.failures import sentence
from foveate.copying.local import LocalStore
from foveate.copying.remote import RemoteStore
from foveate.copying.stores import Store
from foveate.errors import CopyError
from foveate.files import is_url

_PACKAGES = {
    "abfs": "'foveate[azure]'",
    "abfss": "'foveate[azure]'",
    "az": "'foveate[azure]'",
    "s3": "'foveate[s3]'",
    "s3a": "'foveate[s3]'",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
}


def open_store(place: str) -> Store:
    """The store that a path or URL names; nothing is read yet.

    Raises:
        CopyError: there is no such kind of store, a package for it is missing, or the URL names
            no bucket or container.
    """
    if not place:
        raise CopyError("Name a folder, a file or a URL; ‘’ is none.")
    if not is_url(place):
        return LocalStore(place)
    protocol = place.partition("://")[0].lower()
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        filesystem, inner = url_to_fs(place)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        what = f"pip install {package}" if package else str(error)
        raise CopyError(f"‘{protocol}://’ needs a package that is not here: {what}") from None
    except Exception as error:  # every file system has its own about its arguments
        if str(error).startswith("Protocol not known"):
            raise CopyError(
                f"There is no kind of store called ‘{protocol}://’. Use a local path, or a URL "
                "such as abfs://CONTAINER/FOLDER, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
            ) from None
        raise CopyError(f"‘{shown(place)}’ cannot be opened: {sentence(error)}.") from None
    if isinstance(filesystem, LocalFileSystem):
        return LocalStore(inner)
    if not inner.strip("/") and protocol in _PACKAGES:
        raise CopyError(f"‘{place}’ names no container or bucket, as in {protocol}://NAME/FOLDER.")
    if protocol in ("http", "https"):
        return RemoteStore(filesystem, inner, shown(place))
    return RemoteStore(filesystem, inner.rstrip("/"), place.rstrip("/"))


def shown(place: str) -> str:
    """A path or URL without the query, which may carry a signature."""
    return place.partition("?")[0] if place.startswith(("http://", "https://")) else place
