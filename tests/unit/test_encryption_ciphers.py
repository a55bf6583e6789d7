"""The stored forms are kube-apiserver's: known answers, and what opens nothing."""

from __future__ import annotations

import pytest

from shared.storage.encryption.ciphers import AesCbc, AesGcm, CannotOpen, Cipher, SecretBox

KEY = b"/registry/secrets/default/a"
SECRET = bytes(range(32))

# McGrew and Viega, "The Galois/Counter Mode of Operation", test case 4.
GCM_SECRET = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
GCM_NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
GCM_AUTHENTICATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
GCM_VALUE = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
GCM_SEALED = bytes.fromhex(
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
    "5bc94fbc3221a5db94fae95ae7121a47"
)

# openssl enc -aes-256-cbc, of "the value of a secret".
CBC_SECRET = b"\xab" * 32
CBC_IV = bytes(range(16))
CBC_SEALED = bytes.fromhex("03bcaca524f0f3cc8538fc0417af7de938a4b02622b4935a0c6a441cceea633f")

# NaCl, tests/secretbox.c.
BOX_SECRET = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
BOX_NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
BOX_VALUE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc"
    "e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31"
    "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde"
    "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864"
    "5e0705"
)
BOX_SEALED = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce"
    "48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972"
    "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae"
    "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3"
    "7973f622a43d14a6599b1f654cb45a74e355a5"
)


@pytest.mark.parametrize(
    ("cipher", "key", "sealed", "value"),
    [
        (AesGcm(GCM_SECRET), GCM_AUTHENTICATED, GCM_NONCE + GCM_SEALED, GCM_VALUE),
        (AesCbc(CBC_SECRET), KEY, CBC_IV + CBC_SEALED, b"the value of a secret"),
        (SecretBox(BOX_SECRET), KEY, BOX_NONCE + BOX_SEALED, BOX_VALUE),
    ],
    ids=["aesgcm", "aescbc", "secretbox"],
)
def test_known_answers_are_opened(cipher: Cipher, key: bytes, sealed: bytes, value: bytes) -> None:
    assert cipher.open(sealed, key) == value


CIPHERS = [AesGcm(SECRET), AesCbc(SECRET), SecretBox(SECRET)]
OVERHEAD_BYTES = {AesGcm: 12 + 16, SecretBox: 24 + 16}


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 4000])
def test_what_is_sealed_is_opened(cipher: Cipher, length: int) -> None:
    value = b"v" * length
    sealed = cipher.seal(value, KEY)
    assert cipher.open(sealed, KEY) == value
    assert sealed != cipher.seal(value, KEY), "each has a nonce of its own"
    overhead = OVERHEAD_BYTES.get(type(cipher), 16 + 16 - length % 16)
    assert len(sealed) == length + overhead


@pytest.mark.parametrize("cipher", [AesGcm(SECRET), SecretBox(SECRET)], ids=["aesgcm", "secretbox"])
def test_a_changed_byte_anywhere_is_noticed(cipher: Cipher) -> None:
    sealed = cipher.seal(b"value", KEY)
    for at in range(len(sealed)):
        damaged = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(CannotOpen):
            cipher.open(damaged, KEY)


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda one: type(one).__name__)
def test_what_is_cut_off_is_refused(cipher: Cipher) -> None:
    sealed = cipher.seal(b"value", KEY)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            cipher.open(sealed[:length], KEY)


def test_aesgcm_binds_a_value_to_its_key_and_the_others_do_not() -> None:
    for cipher in CIPHERS:
        sealed = cipher.seal(b"value", KEY)
        if isinstance(cipher, AesGcm):
            with pytest.raises(CannotOpen, match="cipher: message authentication failed"):
                cipher.open(sealed, b"/registry/secrets/default/b")
        else:
            assert cipher.open(sealed, b"/registry/secrets/default/b") == b"value"


@pytest.mark.parametrize(
    ("sealed", "why"),
    [
        (b"x" * 15, "the stored data was shorter than the required size"),
        (b"x" * 40, "the stored data is not a multiple of the block size"),
        (b"x" * 16, "invalid PKCS7 data (empty or not padded)"),
    ],
)
def test_aescbc_says_what_is_wrong(sealed: bytes, why: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        AesCbc(SECRET).open(sealed, KEY)
    assert str(caught.value) == why
