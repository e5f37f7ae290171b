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
    let mut made =
        vec![("ca.pem", authority.pem(), false), ("ca-key.pem", key.serialize_pem(), true)];
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
        made.push((key_name, key.serialize_pem(), true));
    }
    Ok(made)
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
