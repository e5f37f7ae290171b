//! Facts about certificates with keys that are pinned.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};

use super::*;

/// A certificate, its key, and what it signs with.
struct Made {
    der: CertificateDer<'static>,
    pin: Pin,
    issuer: Issuer<'static, KeyPair>,
}

fn make(by: Option<&Made>, name: &str) -> Made {
    let key = KeyPair::generate().unwrap();
    let is_leaf = name.contains('.');
    let names = if is_leaf { vec![name.to_owned()] } else { Vec::new() };
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    if !is_leaf {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let made = match by {
        Some(by) => params.signed_by(&key, &by.issuer),
        None => params.self_signed(&key),
    };
    let pin = digest(&SHA256, &key.subject_public_key_info()).as_ref().try_into().unwrap();
    let der = made.unwrap().der().clone();
    Made { der, pin, issuer: Issuer::new(params, key) }
}

/// Why a chain, its first certificate for `id.example`, is not believed.
fn fault(root: &Made, pins: &[Pin], chain: &[&Made], name: &'static str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.der.clone()).unwrap();
    let pinned = Pinned::new(Arc::new(roots), pins.to_vec()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_hours(500_000));
    let chain: Vec<_> = chain.iter().map(|made| made.der.clone()).collect();
    let name = ServerName::try_from(name).unwrap();
    let verified = pinned.verify_server_cert(&chain[0], &chain[1..], &name, &[], now);
    verified.err().map(|error| error.to_string())
}

#[test]
fn one_of_the_chain_must_have_a_pinned_key() {
    let root = make(None, "root");
    let between = make(Some(&root), "between");
    let leaf = make(Some(&between), "id.example");
    let chain = [&leaf, &between, &root];
    for made in chain {
        assert_eq!(fault(&root, &[[0; 32], made.pin], &chain, "id.example"), None);
    }
    let unpinned = Some(
        "other error: none of the certificates that it shows has one of the \
                         fingerprints"
            .to_owned(),
    );
    assert_eq!(fault(&root, &[[0; 32]], &chain, "id.example"), unpinned);
    let short = [&leaf, &between];
    assert_eq!(fault(&root, &[root.pin], &short, "id.example"), unpinned, "it is not shown");
    assert_eq!(fault(&root, &[between.pin], &short, "id.example"), None);
}

#[test]
fn certificates_that_are_sent_along_count_for_nothing() {
    let root = make(None, "root");
    let (pinned, other) = (make(Some(&root), "pinned"), make(Some(&root), "other"));
    let forged = make(Some(&other), "id.example");
    let honest = make(Some(&pinned), "id.example");
    let pins = [pinned.pin, honest.pin];
    for chain in [&[&forged, &other, &pinned][..], &[&forged, &other, &honest, &pinned, &root]] {
        let fault = fault(&root, &pins, chain, "id.example");
        assert!(fault.unwrap().contains("fingerprints"));
    }
    assert_eq!(fault(&root, &pins, &[&honest, &pinned], "id.example"), None);
}

#[test]
fn a_pin_takes_the_place_of_nothing() {
    let (root, stranger) = (make(None, "root"), make(None, "stranger"));
    let leaf = make(Some(&root), "id.example");
    let pins = [leaf.pin, root.pin];
    for fault in [
        fault(&stranger, &pins, &[&leaf, &root], "id.example"),
        fault(&root, &pins, &[&leaf, &root], "www.example"),
    ] {
        assert!(fault.unwrap().starts_with("invalid peer certificate"));
    }
}

#[test]
fn pins_are_base64url_of_32_bytes() {
    let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8";
    let read = pin(text).unwrap();
    assert_eq!((read[1], read[31]), (1, 255));
    assert_eq!(pin(&format!("{text}=")), Some(read));
    for wrong in ["", "AAEC", &text[1..], &format!("{text}=="), &format!("{text}AAEC")] {
        assert_eq!(pin(wrong), None, "{wrong}");
    }
    assert_eq!(pin(&text.replace("Hv8", "Hv/")), None);
}
