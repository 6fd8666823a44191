"""What an object store's error means, in words for the user. URLs' queries and answers' bodies are never shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clustertune.model.errors import StorageError, StorageFull, StorageRefused, StorageUnavailable

_AWS_REMEDY = (
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); profiles of the AWS CLI are not read: "
    'eval "$(aws configure export-credentials --format env)" exports one'
)
_GOOGLE_REMEDY = (
    "set GOOGLE_SERVICE_ACCOUNT to the path of a service account's key file; a person's own login cannot sign URLs"
)

# What is found in an error's text, in this order, and what it means: "{remedy}" is the store's own for credentials.
_REFUSED: Sequence[tuple[str, str]] = (
    (r"NoSuchBucket|The specified bucket does not exist", "there is no such bucket; create it, or correct the name"),
    (
        r"incorrectly configured region|PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket is in another region; set AWS_REGION to the bucket's own",
    ),
    (r"SignatureDoesNotMatch", "the secret key does not belong to the access key; {remedy}"),
    (r"RequestTimeTooSkewed", "this machine's clock is wrong; set it"),
    (r"ExpiredToken|TokenRefreshRequired|token has expired", "the credentials have expired; {remedy}"),
    (
        r"InvalidAccessKeyId|InvalidToken|invalid_grant|Unauthenticated|401 Unauthorized",
        "the credentials are not known there; {remedy}",
    ),
    (
        (
            r"/latest/api/token|/latest/meta-data|computeMetadata|metadata\.google|Error performing token request"
            r"|not provide credentials|Unable to open service account|Unable to decode service account|missing field"
        ),
        "no credentials were found; {remedy}",
    ),
    (
        r"signBlob|SignBlob|Error signing",
        (
            "these credentials cannot sign URLs; use the key file of a service account, "
            "or grant it roles/iam.serviceAccountTokenCreator on itself"
        ),
    ),
    (
        r"PermissionDenied|AccessDenied|AllAccessDisabled|403 Forbidden",
        "these credentials may not do it; grant reading, writing, deleting and listing of objects below that prefix",
    ),
    (r"builder error", "the endpoint is not https; set AWS_ALLOW_HTTP=true if that is meant"),
    (r"MethodNotAllowed|NotImplemented|InvalidBucketName|InvalidPath", "the endpoint is no object store of this kind"),
)
_FULL = re.compile(r"QuotaExceeded|XMinioStorageFull|InsufficientStorage|status code: 507")
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")


def is_absent(error: Exception) -> bool:
    """Whether an object is not there, while its bucket is."""
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)


def explain(error: Exception, url: str) -> StorageError:
    """The error to raise instead."""
    text = f"{type(error).__name__}: {error}"
    if _FULL.search(text):
        return StorageFull(f"{url} has no room left ({_found(text)}); free some space, or raise its quota")
    remedy = _GOOGLE_REMEDY if url.startswith("gs:") else _AWS_REMEDY
    for pattern, meaning in _REFUSED:
        if re.search(pattern, text) and not _passes(text):
            return StorageRefused(f"{url}: {meaning.format(remedy=remedy)}{_found_note(text)}")
    return StorageUnavailable(f"{url} does not answer as it should: {_found(text)}; it is tried again")


def _passes(text: str) -> bool:
    """A store's own failure says nothing of what the user did, whatever its words are."""
    return re.search(r"status code: (5\d\d|429)", text) is not None


def _found_note(text: str) -> str:
    found = [*_STATUS.findall(text)[:1], *_CODE.findall(text)[:1]]
    return f" (found: {', '.join(map(str.strip, found))})" if found else ""


def _found(text: str) -> str:
    """The store's status and code where it answered, else what the connection said."""
    found = [*_STATUS.findall(text)[:1], *_CODE.findall(text)[:1]]
    if found:
        return ", ".join(map(str.strip, found))
    causes = re.findall(r"HTTP error: ([a-z ]+)|(Connection refused|timed out|dns error|certificate)", text)
    return ", ".join(dict.fromkeys(cause for pair in causes for cause in pair if cause)) or "an error without words"
