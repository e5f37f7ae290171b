//! `otus cert init`: an authority with a certificate for the gateway and one for its clients.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::args::CertInitArgs;
use crate::base::base64url;
use crate::tls::server::unix_seconds;

const YEAR: Duration = Duration::from_hours(365 * 24);
/// Clocks of others may be behind.
const SLACK: Duration = Duration::from_hours(24);
/// What every certificate of the gateway is for.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A file that is written: its name, its text, and whether only its owner may read it.
type Made = (&'static str, String, bool);

/// Writes the files, or none if one of them exists.
pub fn run(args: &CertInitArgs, out: &mut dyn Write) -> ExitCode {
    let made = match make(&args.names) {
        Ok(made) => made,
        Err(error) => return super::start::fail(&format!("no certificate was made: {error}")),
    };
    if let Err((name, error)) = write(&args.directory, &made) {
        let path = args.directory.join(name);
        let text = format!("cannot write {}: {error}; nothing was replaced", path.display());
        return super::start::fail(&text);
    }
    for (name, _, _) in &made {
        let _ = writeln!(out, "wrote {}", args.directory.join(name).display());
    }
    let directory = args.directory.display();
    let _ = writeln!(
        out,
        "\n[tls]\ncert = \"{directory}/server.pem\"\nkey = \"{directory}/server-key.pem\"\n\n\
         Clients must trust ca.pem. Keep ca-key.pem elsewhere: it makes further certificates."
    );
    ExitCode::SUCCESS
}

fn make(names: &[String]) -> Result<Vec<Made>, rcgen::Error> {
    let mut params = named("Gufo Root CA", "Gufo CA", Vec::new(), 10 * YEAR)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    let mut made = vec![("ca.pem", authority.pem(), false), ("ca-key.pem", key_pem(&key)?, true)];
    let issuer = Issuer::new(params, key);
    let hosts = ALWAYS.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned());
    let mut server = named("gufo-server", "Gufo Server", hosts.collect(), 2 * YEAR)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut client = named("gufo-client", "Gufo Client", vec!["gufo-client".to_owned()], 2 * YEAR)?;
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaves =
        [(server, "server.pem", "server-key.pem"), (client, "client.pem", "client-key.pem")];
    for (mut params, cert_name, key_name) in leaves {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        made.push((cert_name, certificate.pem(), false));
        made.push((key_name, key_pem(&key)?, true));
    }
    Ok(made)
}

/// What stands before and behind the secret number in a key of P-256 as it is made (RFC 5958).
const PKCS8: (&[u8], &[u8]) = (
    b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
      \x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
    b"\xa1\x44\x03\x42\x00",
);
/// The same in an `ECPrivateKey` (RFC 5915 §3), which names its curve behind the number.
const SEC1: (&[u8], &[u8]) = (
    b"\x30\x77\x02\x01\x01\x04\x20",
    b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\xa1\x44\x03\x42\x00",
);
/// Bytes of the secret number.
const NUMBER_BYTES: usize = 32;
/// Digits in a line of PEM (RFC 7468 §2).
const LINE_DIGITS: usize = 64;

/// A key of P-256 as PEM with the label that services of Gufo look for. They read nothing else.
fn key_pem(key: &KeyPair) -> Result<String, rcgen::Error> {
    let der = sec1(key.serialized_der(), key.public_key_raw());
    let text = base64url::encode_standard(&der.ok_or(rcgen::Error::CouldNotParseKeyPair)?);
    let lines = text.as_bytes().chunks(LINE_DIGITS).map(String::from_utf8_lossy);
    let body = lines.fold(String::new(), |all, line| all + &line + "\n");
    Ok(format!("-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"))
}

/// The same key in the older form; `None` if it is anything else than what is expected.
fn sec1(pkcs8: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    let (number, rest) = pkcs8.strip_prefix(PKCS8.0)?.split_at_checked(NUMBER_BYTES)?;
    (rest.strip_prefix(PKCS8.1)? == public).then(|| [SEC1.0, number, SEC1.1, public].concat())
}

fn named(
    name: &str,
    organization: &str,
    hosts: Vec<String>,
    good_for: Duration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_seconds());
    params.not_before = now - SLACK;
    params.not_after = now + good_for;
    Ok(params)
}

/// All or nothing: what exists is not replaced.
fn write(directory: &Path, made: &[Made]) -> Result<(), (&'static str, io::Error)> {
    fs::create_dir_all(directory).map_err(|error| ("", error))?;
    let mut written: Vec<&str> = Vec::new();
    for (name, text, private) in made {
        let rights = if *private { 0o600 } else { 0o644 };
        let path = directory.join(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(rights).open(&path);
        let result = opened.and_then(|file: File| {
            written.push(*name);
            fill(file, text)
        });
        if let Err(error) = result {
            for name in written {
                let _ = fs::remove_file(directory.join(name));
            }
            return Err((*name, error));
        }
    }
    Ok(())
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    };

    use super::*;
    use crate::config::source::read_file;
    use crate::tls::handshake::Protocol;
    use crate::tls::server::ServerTls;
    use crate::tls::spec::{CertificateSpec, ClientAuth, ServerSpec, Version};

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("otus-cert-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_is_made_can_be_served_and_keys_are_private() {
        let directory = directory("made");
        let args = CertInitArgs { directory: directory.clone(), names: vec!["a.test".to_owned()] };
        let mut out = Vec::new();
        assert_eq!(run(&args, &mut out), ExitCode::SUCCESS);
        for name in ["ca-key.pem", "server-key.pem", "client-key.pem"] {
            assert_eq!(fs::metadata(directory.join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
            let text = fs::read_to_string(directory.join(name)).unwrap();
            assert!(text.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{name}");
            assert!(text.lines().all(|line| line.len() <= LINE_DIGITS), "{name}");
        }
        let spec = ServerSpec {
            certificates: vec![CertificateSpec {
                name: "tls".to_owned(),
                chain: directory.join("server.pem"),
                key: directory.join("server-key.pem"),
                ocsp: None,
            }],
            min_version: Version::Tls12,
            protocols: vec![Protocol::Http1],
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1,
            ticket_secret: None,
            client_auth: ClientAuth::Required(directory.join("ca.pem")),
        };
        let (tls, remarks) = ServerTls::build(spec, &read_file, unix_seconds()).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        assert_eq!(tls.shown[0].hosts, ["localhost", "a.test"]);
        let left = tls.shown[0].until - unix_seconds();
        assert_eq!(left.div_ceil(86_400), 730);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_older_form_is_the_same_key_and_nothing_else_is_taken_for_one() {
        let key = KeyPair::generate().unwrap();
        let (pkcs8, public) = (key.serialized_der(), key.public_key_raw());
        let der = sec1(pkcs8, public).unwrap();
        // It says how long it is, and signs what the public half believes.
        assert_eq!(der.len(), 2 + usize::from(der[1]));
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der);
        let pair = pair.unwrap();
        assert_eq!(pair.public_key().as_ref(), public);
        let signature = pair.sign(&SystemRandom::new(), b"x").unwrap();
        let believer = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public);
        assert!(believer.verify(b"x", signature.as_ref()).is_ok());

        let other = KeyPair::generate().unwrap();
        assert_eq!(sec1(pkcs8, other.public_key_raw()), None);
        assert_eq!(sec1(&pkcs8[..60], public), None);
        assert_eq!(sec1(&der, public), None);
        let wide = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(sec1(wide.serialized_der(), wide.public_key_raw()), None);
    }

    #[test]
    fn what_exists_is_not_replaced_and_nothing_is_left_half_done() {
        let directory = directory("exists");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("client.pem"), "mine").unwrap();
        let args = CertInitArgs { directory: directory.clone(), names: Vec::new() };
        assert_eq!(run(&args, &mut Vec::new()), ExitCode::FAILURE);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(directory.join("client.pem")).unwrap(), "mine");
        fs::remove_dir_all(&directory).unwrap();
    }
}
