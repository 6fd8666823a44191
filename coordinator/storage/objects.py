"""Keeps checkpoints in S3 or Google Storage, through obstore. Parts never pass here: agents get signed URLs."""

from __future__ import annotations

import asyncio
import datetime
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.store import GCSStore, S3Store

from clustertune.coordinator.storage.contracts import Found, PartFiles
from clustertune.coordinator.storage.refusals import explain, is_absent
from clustertune.model.errors import StorageUnavailable

SIGNED_FOR = datetime.timedelta(hours=1)
"""Long enough for the parts of a large checkpoint on a slow line; who is late asks anew."""

_RETRY = {"max_retries": 2, "retry_timeout": datetime.timedelta(seconds=15)}
"""Short: agents try again by themselves, and other checkpoints must not wait behind a storage that is down."""

_LIMIT_S = 60.0
_AT_ONCE = 32
"""Requests under way; each is small."""

_ERRORS = (obstore.exceptions.BaseError, OSError, ValueError)

Result = TypeVar("Result")


class BucketObjects:
    """Objects in a bucket, below the prefix of the URL. Credentials and endpoints are those of the environment."""

    parts: PartFiles | None = None

    def __init__(self, url: str) -> None:
        """Raises StorageRefused where the environment's settings contradict each other."""
        self._url = url
        where = urlsplit(url)
        self._kind, prefix = where.scheme, where.path.strip("/") or None
        # No client options here: they would displace those of the environment, AWS_ALLOW_HTTP for one.
        try:
            if self._kind == "gs":
                self._store: S3Store | GCSStore = GCSStore(where.netloc, prefix=prefix, retry_config=_RETRY)  # type: ignore[arg-type]
            else:
                self._store = S3Store(where.netloc, prefix=prefix, retry_config=_RETRY)  # type: ignore[arg-type]
        except _ERRORS as error:
            raise explain(error, url) from None
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def check(self) -> None:
        """The key is a new one each time: two coordinators that look at once are not in each other's way."""
        key = f"check-{secrets.token_hex(8)}"
        await self.write(key, b"clustertune")
        if await self.read(key) != b"clustertune":
            raise StorageUnavailable(f"{self._url} gave back something else than was written to it")
        await self.list("check")
        await self.puts({key: key})
        await self.delete([key])
        await self.sizes([key])  # S3 says "forbidden" instead of "not there" to who may not list

    async def write(self, key: str, data: bytes) -> None:
        await self._ask(lambda: obstore.put_async(self._store, key, data, use_multipart=False))

    async def read(self, key: str) -> bytes | None:
        async def get() -> bytes:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())

        try:
            return await self._ask(get)
        except FileNotFoundError:
            return None

    async def sizes(self, keys: Collection[str]) -> dict[str, int]:
        sizes = await asyncio.gather(*map(self._size, keys))
        return {key: size for key, size in zip(keys, sizes, strict=True) if size is not None}

    async def settle(self, experiment_id: str) -> None:
        """An object that a bucket has acknowledged is there to stay."""

    async def list(self, prefix: str) -> list[Found]:
        async def collect() -> list[Found]:
            now = datetime.datetime.now(datetime.UTC)
            return [
                Found(key=it["path"], size_bytes=it["size"], age_s=(now - it["last_modified"]).total_seconds())
                async for page in obstore.list(self._store, prefix)
                for it in page
            ]

        return await self._ask(collect)

    async def delete(self, keys: Iterable[str]) -> None:
        await asyncio.gather(*map(self._delete, keys))

    async def puts(self, keys: Mapping[str, str]) -> dict[str, str | None]:
        return await self._sign("PUT", keys)

    async def gets(self, keys: Mapping[str, str]) -> dict[str, str | None]:
        return await self._sign("GET", keys)

    async def _sign(self, method: Literal["PUT", "GET"], keys: Mapping[str, str]) -> dict[str, str | None]:
        if not keys:
            return {}
        paths = list(keys.values())
        urls = await self._ask(lambda: obstore.sign_async(self._store, method, paths, SIGNED_FOR))
        return dict(zip(keys, urls, strict=True))

    async def _size(self, key: str) -> int | None:
        try:
            return (await self._ask(lambda: obstore.head_async(self._store, key)))["size"]
        except FileNotFoundError:
            return None

    async def _delete(self, key: str) -> None:
        # One request each: not every store that speaks S3 knows how to delete many.
        try:
            await self._ask(lambda: obstore.delete_async(self._store, key))
        except FileNotFoundError:
            return

    async def _ask(self, request: Callable[[], Awaitable[Result]]) -> Result:
        """Raises FileNotFoundError where the object is not there, and StorageError for everything else."""
        async with self._at_once:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    return await request()
            except TimeoutError:
                raise StorageUnavailable(f"{self._url} did not answer within {_LIMIT_S:.0f} s") from None
            except _ERRORS as error:
                if is_absent(error):
                    raise FileNotFoundError("there is no such object") from None
                # The original shows signed URLs and answers of the store in full: it goes no further.
                raise explain(error, self._url) from None
