//! The little of a certificate that is read: when it is good, and whose it is.

use std::time::Duration;

/// When a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    pub(super) from: u64,
    pub(super) until: u64,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// Places of fields, behind the serial number, the signature's algorithm and the issuer.
const VALIDITY: usize = 3;
const SUBJECT: usize = 4;
const PUBLIC_KEY: usize = 5;
/// Bytes of the name of whom a certificate is for.
const SUBJECT_BYTES_MAX: usize = 1024;

/// Reads the validity of a certificate (RFC 5280 §4.1).
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (validity, _) = element(fields_from(certificate, VALIDITY)?, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

/// Whom a certificate names, in the way of RFC 4514 but in the order of the certificate:
/// `C=DE,O=Example,CN=alice`. `None` for a name that is empty, or that cannot be written so.
#[must_use]
pub fn subject(certificate: &[u8]) -> Option<String> {
    let fields = fields_from(certificate, SUBJECT)?;
    let (mut names, _) = element(fields, SEQUENCE)?;
    let mut out = String::new();
    while !names.is_empty() {
        let (set, rest) = element(names, SET)?;
        let (pair, _) = element(set, SEQUENCE)?;
        let (kind, value) = element(pair, OBJECT_ID)?;
        let (text, _) = element(value, *value.first()?)?;
        push_name(&mut out, attribute(kind)?, str::from_utf8(text).ok()?)?;
        names = rest;
    }
    (!out.is_empty() && out.len() <= SUBJECT_BYTES_MAX).then_some(out)
}

/// The public key of a certificate with all that is said of it, as it stands there: its
/// `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let fields = fields_from(certificate, PUBLIC_KEY)?;
    let (_, rest) = element(fields, SEQUENCE)?;
    fields.get(..fields.len() - rest.len())
}

/// The fields of a certificate from that place on (RFC 5280 §4.1): the version, which may be left
/// out, does not count.
fn fields_from(certificate: &[u8], place: usize) -> Option<&[u8]> {
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(outer, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = element(fields, VERSION)?;
    }
    for _ in 0..place {
        let tag = *fields.first()?;
        (_, fields) = element(fields, tag)?;
    }
    Some(fields)
}

/// Appends an attribute; characters that separate are escaped, control characters refused.
fn push_name(out: &mut String, name: &str, value: &str) -> Option<()> {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(name);
    out.push('=');
    for character in value.chars() {
        if character.is_control() {
            return None;
        }
        if ",+\"\\<>;=".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    Some(())
}

/// The short name of an attribute (RFC 4514 §3, RFC 5280 §A.1).
fn attribute(object_id: &[u8]) -> Option<&'static str> {
    Some(match object_id {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 4] => "SN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 12] => "title",
        [0x55, 4, 42] => "GN",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return None,
    })
}

/// The content of the element at the start, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let bytes = rest.get(..usize::from(*first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        let len = bytes.iter().fold(0, |len: usize, byte| (len << 8) | usize::from(*byte));
        (len, rest.get(bytes.len()..)?)
    };
    (*found == tag).then_some(())?;
    Some((rest.get(..len)?, rest.get(len..)?))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let tag = *der.first()?;
    let (text, rest) = element(der, tag)?;
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let (year, text) = match tag {
        UTC_TIME => {
            let short: u64 = text.get(..2)?.parse().ok()?;
            (if short < 50 { 2000 + short } else { 1900 + short }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let mut parts = [0; 5];
    if text.len() != 10 {
        return None;
    }
    for (index, part) in parts.iter_mut().enumerate() {
        *part = text.get(2 * index..2 * index + 2)?.parse::<u64>().ok()?;
    }
    let [month, day, hour, minute, second] = parts;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second);
    Some((seconds.as_secs(), rest))
}

/// Days of the Gregorian calendar; March is counted as the first month, so that leap days come
/// last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Bytes as text (RFC 4648 §4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let word = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let digit = usize::try_from((word >> (18 - 6 * place)) & 63).unwrap_or(0);
            let is_padding = usize::try_from(place).is_ok_and(|place| place > group.len());
            let digit = DIGITS.get(digit).copied().filter(|_| !is_padding);
            out.push(char::from(digit.unwrap_or(b'=')));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_calendar() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((1970, 12, 31), 364),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 21), 20_778),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let utc = |text: &str| [&[UTC_TIME, 13][..], text.as_bytes()].concat();
        assert_eq!(time(&utc("700101000001Z")).unwrap().0, 1);
        assert_eq!(time(&utc("261121063000Z")).unwrap().0, 20_778 * 86_400 + 6 * 3600 + 1800);
        let long = [&[GENERALIZED_TIME, 15][..], b"20500101000000Z"].concat();
        assert_eq!(time(&long).unwrap().0, 29_220 * 86_400);
        for wrong in ["2611210630000", "26112106300Z0", "261321063000Z", "2611210630+0Z"] {
            assert!(time(&utc(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_subject_is_written_as_one_line() {
        use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
        let named = |names: &[(DnType, &str)]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            for (kind, value) in names {
                params.distinguished_name.push(kind.clone(), *value);
            }
            subject(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
        };
        let whole = [(DnType::OrganizationName, "A, \"B\""), (DnType::CommonName, "alice=x")];
        assert_eq!(named(&whole).unwrap(), r#"O=A\, \"B\",CN=alice\=x"#);
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[(DnType::CommonName, "a\nb")]), None);
        assert_eq!(named(&[(DnType::CommonName, &"x".repeat(1100))]), None);
    }

    #[test]
    fn the_public_key_is_found_whole() {
        use rcgen::{CertificateParams, KeyPair, PublicKeyData};
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        assert_eq!(public_key(certificate.der()), Some(&key.subject_public_key_info()[..]));
        let cut = certificate.der().get(..80).unwrap();
        assert_eq!(public_key(cut), None);
    }

    #[test]
    fn bytes_become_text() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xfe]), "/+/+");
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut prng = crate::base::prng::Prng::new(7);
        for len in 0..400 {
            let bytes: Vec<u8> =
                (0..len).map(|_| u8::try_from(prng.below(256)).unwrap_or(0)).collect();
            let (_, _, _) = (validity(&bytes), subject(&bytes), public_key(&bytes));
            let framed = [&[SEQUENCE, 0x82, 1, 0, SEQUENCE, 0x81, 200][..], &bytes].concat();
            let (_, _, _) = (validity(&framed), subject(&framed), public_key(&framed));
        }
        assert_eq!(element(&[SEQUENCE, 0x84, 255, 255, 255, 255, 1], SEQUENCE), None);
    }
}
