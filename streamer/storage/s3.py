"""Storage back-end: a bucket of Amazon S3 or of a store that speaks its protocol, over the minio package."""

from __future__ import annotations

import configparser
import inspect
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from minio import Minio
from minio.credentials.providers import (
    AWSConfigProvider,
    EnvAWSProvider,
    IamAwsProvider,
    Provider,
    StaticProvider,
)
from minio.helpers import check_bucket_name
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.response import BaseHTTPResponse

from ffbind.errors import ArgumentError, FFbindError, SourceError
from ffbind.isobmff import bytes_of_use

from .base import (
    BadPathError,
    ForbiddenError,
    Look,
    NotFoundError,
    ObjectInfo,
    ObjectPage,
    ReadForbiddenError,
    StorageError,
    check_path,
    too_large,
)
from .connections import PROXY_REFUSED, Patience, Pool, Refused
from .profiles import ProfileError, from_profile
from .ranged import (
    Head,
    Version,
    content_range,
    explain_fault,
    may_pass,
    read_head,
    read_range,
    tried,
)

__all__ = ["S3Options", "S3OptionsError", "S3Storage", "WritableS3Storage"]

Credentials = Literal["auto", "anonymous", "instance"]
T = TypeVar("T")

_UNSIGNED = "the credentials for the bucket could not be read any more; renew them and try again"

_SMALLEST_PART = 5 << 20  # what minio accepts
_AMAZON = "https://s3.amazonaws.com"
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where other tools look for the URL of the store, the first that is set."""
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
PROFILE_NAMES = {"endpoint": "endpoint_url", "region": "region"}
"""What these options are called in a profile of ~/.aws/config."""
# Variables that say where a container or a Kubernetes pod gets its credentials.
_CONTAINER = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
_NO_SUCH_KEY = "it does not know the access key; check the key and the endpoint"
_KEY_CODES = {
    "InvalidAccessKeyId": _NO_SUCH_KEY,
    "XAdminUserNotFound": _NO_SUCH_KEY,  # versitygw, with status 404
    "SignatureDoesNotMatch": "the secret key does not fit the access key; check it",
    "ExpiredToken": "the session token has expired; get a new one",
    "InvalidToken": "the session token is not valid; get a new one",
    "InvalidTokenId": "the session token is not valid; get a new one",  # MinIO
    "RequestTimeTooSkewed": "the clock of this machine is wrong by more than 15 minutes; set it",
    "AuthorizationHeaderMalformed": "the request was signed for another region; set the region of the bucket",
    "IllegalLocationConstraintException": "the bucket is in another region; set the region of the bucket",
    "PermanentRedirect": "the bucket is in another region; set the region of the bucket",
}


class S3OptionsError(ValueError):
    """Options that cannot work; `name` says which of them."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """Which bucket, where, and as whom. Checked when made: raises S3OptionsError."""

    bucket: str
    prefix: str = ""
    """What all keys begin with: a path, such as `videos/2026`; a slash at its end changes nothing."""
    endpoint: str = ""
    """URL of the store, without a path; empty: Amazon S3."""
    region: str = "us-east-1"
    """Region that requests are signed for; always given, so that no request is spent on asking for it."""
    credentials: Credentials = "auto"
    """auto: the keys below, else AWS_ACCESS_KEY_ID and its siblings, else the profile in ~/.aws/credentials, else
    what a container or pod is given; with none of them requests are anonymous. anonymous: never signed. instance: the
    role of the virtual machine."""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not self.bucket:
            raise S3OptionsError("bucket", "no bucket is named")
        try:
            check_bucket_name(self.bucket)
        except ValueError:
            raise S3OptionsError(
                "bucket",
                f"{self.bucket!r} is not the name of a bucket; it has 3 to 63 letters, digits, hyphens and dots",
            ) from None
        if not self.region:
            raise S3OptionsError("region", "no region is named; us-east-1 suits stores without regions")
        if self.credentials not in ("auto", "anonymous", "instance"):
            raise S3OptionsError(
                "credentials", f"{self.credentials!r} is none of auto, anonymous and instance"
            )
        if bool(self.access_key) != bool(self.secret_key):
            raise S3OptionsError("access_key", "access key and secret key belong together; one is missing")
        if self.prefix.strip("/"):
            try:
                check_path(self.prefix.removesuffix("/"))
            except BadPathError as error:
                raise S3OptionsError("prefix", str(error)) from None
        elif self.prefix:
            raise S3OptionsError("prefix", "the prefix is a slash alone; leave it out")
        parts = urlsplit(self.endpoint or _AMAZON)
        try:
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:
            good = False
        if not good or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise S3OptionsError(
                "endpoint", "the endpoint must be http:// or https://, a host and a port, and nothing else"
            )

    @classmethod
    def from_environment(
        cls, bucket: str, variables: Mapping[str, str] | None = None, *, patience: Patience | None = None
    ) -> S3Options:
        """Options for a bucket as other tools find them: S3_ENDPOINT or ENDPOINT_VARIABLES, REGION_VARIABLES, else what the profile
        in ~/.aws/config says, and credentials by `auto`, which always come from the environment of the process. Raises S3OptionsError.
        """
        given = os.environ if variables is None else variables
        return cls(
            bucket=bucket,
            endpoint=_first(given, "S3_ENDPOINT", *ENDPOINT_VARIABLES) or _in_profile("endpoint", given),
            region=_first(given, *REGION_VARIABLES) or _in_profile("region", given) or "us-east-1",
            patience=patience or Patience(),
        )

    @property
    def key_prefix(self) -> str:
        """What keys begin with: the prefix and a slash, or nothing."""
        return self.prefix.rstrip("/") + "/" if self.prefix else ""

    def place(self, path: str) -> str:
        """Name an object by store, bucket and key; see `Storage.place`. Raises BadPathError."""
        where = self.endpoint.rstrip("/") or _AMAZON
        return f"s3://{self.bucket}/{self.key_prefix}{check_path(path)} at {where}"


class S3Storage:
    """Videos in a bucket. Nothing outside the bucket and its prefix can be reached, and nothing is ever written.

    A key is the prefix and the path as it is. An object is pinned by its ETag: every range carries it in If-Match, and
    every answer is compared with it. Raises S3OptionsError where the environment has half of the credentials, or names a
    profile that is not there, or a proxy that cannot be used.
    """

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._prefix = options.key_prefix
        try:
            self._pool = Pool(options.patience)
        except ArgumentError as error:
            raise S3OptionsError("endpoint", str(error)) from None
        self._where = options.endpoint.rstrip("/") or "Amazon S3"
        provider = _provider(options)
        self.anonymous = provider is None
        """True where requests are not signed."""
        parts = urlsplit(options.endpoint or _AMAZON)
        try:
            self._client = Minio(
                endpoint=parts.netloc,
                secure=parts.scheme == "https",
                region=options.region,
                credentials=provider,
                http_client=self._pool,
            )
        except ValueError as error:
            raise S3OptionsError("region", f"it cannot be used: {error}") from None
        self._headers_argument = _headers_argument(self._client)

    def __str__(self) -> str:
        """Name bucket, prefix and store, for people."""
        signed = "anonymous" if self.anonymous else "signed"
        return f"s3://{self._options.bucket}/{self._prefix} at {self._where} ({signed})"

    @property
    def requests(self) -> int:
        """Requests sent so far, those that failed included."""
        return self._pool.requests

    def check(self) -> bool:
        """Ask the store once whether the bucket can be used; False where it may not be listed, which is no need.

        Raises SourceError, NotFoundError or ForbiddenError with one sentence that says what is wrong.
        """
        try:
            self._tried(lambda: self._list_page(self._prefix, None, 0), "")
        except ForbiddenError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code == "AccessDenied":
                return False
            raise
        return True

    def stat(self, path: str) -> ObjectInfo:
        """Look an object up; see `Storage.stat`."""
        key = self._prefix + check_path(path)
        found = self._tried(lambda: self._stat(key), path)
        return ObjectInfo(path, *found)

    def look(self, path: str, most: int) -> Look:
        """Look an object up and read its first bytes with one request; see `Storage.look`. Raises StorageError, SourceError."""
        try:
            version, head = self._read_first(path, most, of_use=bytes_of_use)
        except SourceError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.status == 416:
                return Look(self.stat(path))  # of an empty object no byte can be asked for
            raise
        return Look(ObjectInfo(path, version.size, version.validator), *head)

    def read_range(self, info: ObjectInfo, offset: int, length: int) -> bytes:
        """Read a range of an object; see `Storage.read_range`."""
        key = self._prefix + check_path(info.path)

        def ask(offset: int, length: int) -> BaseHTTPResponse:
            return self._get(key, offset, length, info.identity)

        version = Version(info.path, info.size, info.identity)
        return read_range(version, offset, length, ask, self._options.patience, self._describer(info.path))

    def read_whole(self, path: str, most: int) -> bytes:
        """Read a small object; see `Storage.read_whole`."""
        try:
            return self._read_first(path, most, whole=True)[1].data
        except SourceError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.status == 416:
                return b""  # of an empty object no byte can be asked for
            raise

    def place(self, path: str) -> str:
        """Name an object by store, bucket and key; see `Storage.place`."""
        return self._options.place(path)

    def list(self, prefix: str, *, cursor: str | None = None, limit: int = 1000) -> ObjectPage:
        """List objects by path; see `Storage.list`. Keys that are no path of `check_path` are left out."""
        if any(name in ("", ".", "..") for name in prefix.split("/")[:-1]):
            return ObjectPage((), cursor=None)  # no path begins with it, and some stores refuse to look
        full = self._prefix + prefix
        after = None if cursor is None else self._prefix + cursor
        found = self._tried(lambda: self._list_page(full, after, limit + 1), "")
        page = tuple(found[:limit])
        return ObjectPage(page, cursor=page[-1].path if len(found) > limit and page else None)

    def _stat(self, key: str) -> tuple[int, str]:
        try:
            found = self._client.stat_object(bucket_name=self._options.bucket, object_name=key)
        except Refused as refusal:
            if refusal.status not in (400, 403, 404):
                raise
            # An answer to HEAD has no body, so the reason is missing; a GET of one byte has it.
            self._get(key, 0, 1, None).close()
            raise
        if not found.etag or found.size is None:
            raise SourceError(f"{self._where} gives no ETag, which is needed to notice a changed object")
        return found.size, found.etag

    def _read_first(
        self, path: str, most: int, *, whole: bool = False, of_use: Callable[[bytes], int] | None = None
    ) -> tuple[Version, Head]:
        """Read the first bytes of an object of which nothing is known yet: `most`, or as far as they are `of_use` (see `read_head`).

        With `whole`, an object that has more is an error.
        """
        key = self._prefix + check_path(path)
        began = time.monotonic()
        first = [self._tried(lambda: self._get(key, 0, most, None), path)]
        waited = time.monotonic() - began
        version = self._version_of(first[0], path)
        if whole and version.size > most:
            first[0].close()
            raise too_large(path, most)

        def ask(offset: int, length: int) -> BaseHTTPResponse:
            # What was asked for already has come; only what breaks of it is asked for again.
            return first.pop() if first else self._get(key, offset, length, version.validator)

        describe = self._describer(path)
        return version, read_head(version, most, ask, self._options.patience, describe, of_use, waited)

    def _get(self, key: str, offset: int, length: int, etag: str | None) -> BaseHTTPResponse:
        # Not minio's own `offset` and `length`, for which 0 means everything.
        headers = HTTPHeaderDict(
            {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        )
        if etag is not None:
            headers["If-Match"] = f'"{etag}"'
        with _signing():
            response: BaseHTTPResponse = self._client.get_object(
                bucket_name=self._options.bucket,
                object_name=key,
                **cast(dict[str, Any], {self._headers_argument: headers}),
            )
        return response

    def _list_page(self, prefix: str, after: str | None, count: int) -> Sequence[ObjectInfo]:
        objects = self._client.list_objects(
            bucket_name=self._options.bucket, prefix=prefix, recursive=True, start_after=after
        )
        if count == 0:
            next(iter(objects), None)
            return ()
        found = []
        for entry in objects:
            path = (entry.object_name or "")[len(self._prefix) :]
            try:
                check_path(path)
            except BadPathError:
                continue
            found.append(ObjectInfo(path, entry.size or 0, (entry.etag or "").strip('"')))
            if len(found) == count:
                break
        return found

    def _tried(self, work: Callable[[], T], path: str) -> T:
        def sign_and_work() -> T:
            with _signing():
                return work()

        return tried(sign_and_work, self._options.patience, lambda error: self._describe(error, path))

    def _version_of(self, response: BaseHTTPResponse, path: str) -> Version:
        """Tell which version of an object an answer to a GET with a range is about; the answer is closed where it does not say."""
        said_range = content_range(response.headers)
        etag = response.headers.get("etag", "").strip('"')
        if said_range is None or not etag:
            response.close()
            raise SourceError(
                f"{self._where} does not say which version of {path} it sent, or how large it is"
            )
        return Version(path, said_range[2], etag)

    def _describer(self, path: str) -> Callable[[Exception], SourceError]:
        """Give what makes the sentence for reads: whoever reads has found the object before, so what is wrong is the store's state."""

        def describe(error: Exception) -> SourceError:
            problem = self._describe(error, path, found=True)
            if isinstance(problem, SourceError):
                return problem
            kind = ReadForbiddenError if isinstance(problem, ForbiddenError) else SourceError
            return kind(str(problem))

        return describe

    def _describe(self, error: Exception, path: str, *, found: bool = False) -> FFbindError | StorageError:
        """Make one sentence of a failure: no key, no signature, no address beyond the endpoint.

        `found`: the store has answered before, so that its address is right.
        """
        bucket = self._options.bucket
        # A server of https drops what is no TLS, or answers it with status 400, as those written in Go do.
        https = self._where.startswith("http://") and not found
        if not isinstance(error, Refused):
            advice = "try again" if may_pass(error) else "check the endpoint"
            if https and isinstance(error, ProtocolError):
                advice += ", with https:// where that is what it speaks"
            return SourceError(f"{self._where} could not be read: {explain_fault(error)}; {advice}")
        if https and error.status == 400 and not error.code:
            return SourceError(
                f"{self._where} answered status 400; write https:// where that is what it speaks"
            )
        if error.code in _KEY_CODES:
            return ForbiddenError(f"{self._where} refused the request: {_KEY_CODES[error.code]}")
        if error.code == "NoSuchBucket" or (error.status == 404 and not path):
            return NotFoundError(f"There is no bucket {bucket} at {self._where}")
        if error.status == 404:
            return NotFoundError(f"Video not found: {path}")
        if error.status == 407:
            return SourceError(f"{self._where} could not be read: {PROXY_REFUSED}")
        if error.status in (301, 307, 308):
            return ForbiddenError(f"{self._where} refused the request: {_KEY_CODES['PermanentRedirect']}")
        if error.status in (401, 403):
            who = "anonymous requests" if self.anonymous else "these credentials"
            if self.anonymous and self._options.credentials == "auto":
                who += " (no credentials were found)"
            what = f"{path}, or it does not exist" if path else f"the bucket {bucket}"
            return ForbiddenError(f"{self._where} does not let {who} read {what}")
        said = f"status {error.status}" + (f" ({error.code})" if error.code else "")
        advice = "try again" if error.passing else "is its URL that of an S3 store?"
        return SourceError(f"{self._where} answered {said}; {advice}")


class WritableS3Storage(S3Storage):
    """A bucket that is written to as well: for commands that were asked to. The server has none."""

    def write(self, path: str, data: bytes) -> None:
        """Store an object, whole or not at all, in place of what was there. Raises StorageError, SourceError."""
        key = self._prefix + check_path(path)

        def put() -> None:
            self._client.put_object(
                bucket_name=self._options.bucket,
                object_name=key,
                data=io.BytesIO(data),
                length=len(data),
                part_size=max(_SMALLEST_PART, len(data)),  # one request
            )

        try:
            self._tried(put, path)
        except ForbiddenError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code in _KEY_CODES:
                raise
            who = "anonymous requests" if self.anonymous else "these credentials"
            raise ForbiddenError(f"{self._where} does not let {who} write {path}") from error.__cause__
        except NotFoundError as error:
            raise NotFoundError(f"There is no bucket {self._options.bucket} at {self._where}") from error


def _in_profile(option: str, variables: Mapping[str, str]) -> str:
    try:
        found = from_profile(PROFILE_NAMES[option], variables)
    except ProfileError as error:
        raise S3OptionsError(option, str(error)) from None
    return "" if found is None else found[0]


def _first(variables: Mapping[str, str], *names: str) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")


def _provider(options: S3Options) -> Provider | None:
    """What signs the requests; None for anonymous ones. Raises S3OptionsError."""
    if options.credentials == "anonymous":
        return None
    if options.credentials == "instance":
        return IamAwsProvider()
    if options.access_key:
        return StaticProvider(options.access_key, options.secret_key, options.session_token or None)
    if bool(_first(os.environ, *_KEY_VARIABLES)) != bool(_first(os.environ, *_SECRET_VARIABLES)):
        raise S3OptionsError(
            "credentials",
            f"of {_KEY_VARIABLES[0]} and {_SECRET_VARIABLES[0]} only one is set; set both or neither",
        )
    if _first(os.environ, *_KEY_VARIABLES):
        return EnvAWSProvider()
    profile = AWSConfigProvider()
    try:
        profile.retrieve()
    except configparser.Error:
        raise S3OptionsError(
            "credentials", "the file of credentials is not one: it cannot be understood"
        ) from None
    except (ValueError, OSError):
        # Going on without would read as somebody else, or as nobody, what the profile was named for.
        if name := os.environ.get("AWS_PROFILE"):
            raise S3OptionsError(
                "credentials",
                f"AWS_PROFILE is {name!r}, but the file of credentials has no keys under that name",
            ) from None
    else:
        return profile
    if any(os.environ.get(name) for name in _CONTAINER):
        return IamAwsProvider()
    return None


@contextmanager
def _signing() -> Iterator[None]:
    """Say of what minio's providers raise, a ValueError, that there are no credentials any more."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, HTTPError):  # an address that urllib3 cannot use
            raise
        raise SourceError(_UNSIGNED) from error


def _headers_argument(client: Minio) -> str:
    """Name of get_object's argument for headers: `request_headers` in minio 7.2, `extra_headers` in 8."""
    names = inspect.signature(client.get_object).parameters
    return "request_headers" if "request_headers" in names else "extra_headers"
