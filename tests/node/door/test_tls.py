"""The TLS context, and one clear line for each way its files can be wrong."""

import ssl

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from greenroom.node.door.tls import make_tls_context
from greenroom.node.errors import TlsError


@pytest.fixture
def files(tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_only_tls_1_2_and_1_3(files):
    context = make_tls_context(*files)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED


def test_a_missing_file_is_named(files, tmp_path):
    cert, key = files
    with pytest.raises(TlsError, match=r"certificate .*nowhere\.pem: No such file"):
        make_tls_context(tmp_path / "nowhere.pem", key)
    with pytest.raises(TlsError, match=r"key .*nowhere\.pem: No such file"):
        make_tls_context(cert, tmp_path / "nowhere.pem")


def test_a_key_of_another_certificate_is_refused(files, tmp_path):
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(TlsError, match="does not belong to"):
        make_tls_context(files[0], tmp_path / "other.pem")


def test_what_is_no_pem_is_refused(files, tmp_path):
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(TlsError, match="not usable PEM"):
        make_tls_context(tmp_path / "junk.pem", files[1])


def test_a_key_with_a_passphrase_is_refused_without_asking(files, tmp_path):
    key = serialization.load_pem_private_key(files[1].read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="passphrase"):
        make_tls_context(files[0], locked)
