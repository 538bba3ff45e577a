"""Signatures that others verify: the specification's vector, and its published library."""

import datetime
import os

import pytest
import standardwebhooks

from plaza_serving.webhooks.signing import headers, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_plJ3nmyCDGBKInavdOK15jsl"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'


def test_the_vector_of_the_specifications_libraries():
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(SECRET, ID, AT, BODY) == expected


def test_a_rotation_signs_twice_in_one_header():
    made = headers((SECRET, OTHER), ID, AT, BODY)
    assert made["webhook-signature"].split(" ") == [
        signature(SECRET, ID, AT, BODY),
        signature(OTHER, ID, AT, BODY),
    ]
    assert (made["webhook-id"], made["webhook-timestamp"]) == (ID, str(AT))


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_the_published_library_accepts_it_by_either_secret(secret):
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    made = headers((SECRET, OTHER), ID, now, BODY)
    assert standardwebhooks.Webhook(secret).verify(BODY, made) == {"test": 2432232314}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(BODY + b" ", made)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(BODY, made | {"webhook-id": os.urandom(4).hex()})
