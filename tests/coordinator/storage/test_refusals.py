"""Errors of object stores, as obstore words them, become what the user can do."""

from __future__ import annotations

import pytest

from clustertune.coordinator.storage.refusals import explain, is_absent
from clustertune.model.errors import StorageFull, StorageRefused, StorageUnavailable

SIGNED = "https://b.example/x?X-Amz-Credential=AKIASECRET&X-Amz-Signature=abcdef"


def said(status: str, code: str = "Other") -> OSError:
    return OSError(
        f"Generic S3 error: Error performing PUT {SIGNED} in 2ms - Server returned non-2xx status code: {status}: "
        f"<Error><Code>{code}</Code><Message>no</Message><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"
    )


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (said("404 Not Found", "NoSuchBucket"), StorageRefused, "no such bucket"),
        (said("403 Forbidden", "AccessDenied"), StorageRefused, "may not do it"),
        (said("403 Forbidden", "InvalidAccessKeyId"), StorageRefused, "set AWS_ACCESS_KEY_ID"),
        (said("403 Forbidden", "SignatureDoesNotMatch"), StorageRefused, "does not belong to the access key"),
        (said("400 Bad Request", "ExpiredToken"), StorageRefused, "have expired"),
        (said("403 Forbidden", "RequestTimeTooSkewed"), StorageRefused, "clock"),
        (said("301 Moved Permanently", "PermanentRedirect"), StorageRefused, "set AWS_REGION"),
        (OSError("Received redirect without LOCATION, an incorrectly configured region"), StorageRefused, "AWS_REGION"),
        (
            OSError("Error performing PUT http://169.254.169.254/latest/api/token"),
            StorageRefused,
            "no credentials were",
        ),
        (said("507 Insufficient Storage", "XMinioStorageFull"), StorageFull, "free some space"),
        (OSError("Error performing PUT .../check-1507 : status code: 507 Full"), StorageFull, "free some space"),
        (OSError("PUT .../check-1507 in 1 s: status code: 404 Not Found: NoSuchBucket"), StorageRefused, "create it"),
        (said("403 Forbidden", "QuotaExceeded"), StorageFull, "quota"),
        (said("503 Slow Down", "SlowDown"), StorageUnavailable, "503 Slow Down, SlowDown"),
        (said("500 Internal Server Error", "AccessDenied"), StorageUnavailable, "tried again"),
        (OSError("HTTP error: error sending request"), StorageUnavailable, "error sending request"),
        (OSError(""), StorageUnavailable, "an error without words"),
    ],
)
def test_an_error_says_what_was_found_and_what_to_do(error: OSError, kind: type, part: str) -> None:
    explained = explain(error, "s3://bucket/prefix")
    assert type(explained) is kind
    assert part in str(explained)
    assert "s3://bucket/prefix" in str(explained)


def test_no_secret_of_the_error_is_repeated() -> None:
    for status in ("403 Forbidden", "503 Slow Down", "507 Full", "418 Teapot"):
        for code in ("AccessDenied", "InvalidAccessKeyId", "Unknown"):
            text = str(explain(said(status, code), "s3://bucket"))
            assert "AKIASECRET" not in text
            assert "Signature=" not in text


def test_googles_remedies_are_googles() -> None:
    error = OSError("Error performing token request: Error performing GET http://metadata.google.internal/x")
    assert "set GOOGLE_SERVICE_ACCOUNT" in str(explain(error, "gs://bucket"))
    assert "cannot sign URLs" in str(explain(OSError("Error signing blob: 403 Forbidden"), "gs://bucket"))


def test_an_absent_object_is_not_an_absent_bucket() -> None:
    assert is_absent(FileNotFoundError("Object at location x not found"))
    assert not is_absent(FileNotFoundError("Object at location x not found: <Code>NoSuchBucket</Code>"))
