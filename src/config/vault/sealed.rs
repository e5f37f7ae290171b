//! One encrypted value: `$2a##` and the standard base64 of nonce, ciphertext and tag (AES-GCM).
//!
//! The first four bytes of a nonce that is made here are the id of the key, the other eight are
//! random: so it can be told which key a value needs, and whoever reads the format without ids
//! reads these as well. No nonce comes twice: a key is used for some values of one file, and two of
//! a thousand values share one with a probability of 2⁻⁴⁵.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use super::key::{AesKey, ID_BYTES};
use crate::base::{base64url, hex};

/// What an encrypted value begins with.
pub const MARK: &str = "$2a##";

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Bytes of a block, and of what a value of an older installation begins with.
const BLOCK_BYTES: usize = 16;

/// Why a value cannot be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is no base64, or too short.
    Broken,
    /// No key opens it; it may be of the key with this id.
    Key(String),
    /// What it holds is no text.
    NoText,
}

/// Whether a value is encrypted.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK)
}

/// Encrypts a text; `None` without random bytes.
pub fn seal(key: &AesKey, text: &str, random: &mut dyn FnMut(&mut [u8]) -> bool) -> Option<String> {
    let mut nonce = [0; NONCE_BYTES];
    let (id, rest) = nonce.split_at_mut(ID_BYTES);
    id.copy_from_slice(&key.id_bytes());
    if !random(rest) {
        return None;
    }
    let mut bytes = text.as_bytes().to_vec();
    let gcm = LessSafeKey::new(UnboundKey::new(gcm(key), key.bytes()).ok()?);
    let at = Nonce::assume_unique_for_key(nonce);
    gcm.seal_in_place_append_tag(at, Aad::empty(), &mut bytes).ok()?;
    let all = [nonce.as_slice(), &bytes].concat();
    Some(format!("{MARK}{}", base64url::encode_standard(&all)))
}

/// Decrypts a value with the first of these keys that opens it.
pub fn open<'k>(
    mut keys: impl Iterator<Item = &'k AesKey>,
    value: &str,
) -> Result<(String, &'k AesKey), Fault> {
    let text = value.strip_prefix(MARK).ok_or(Fault::Broken)?;
    let bytes = base64url::decode_standard(text.as_bytes()).ok_or(Fault::Broken)?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(Fault::Broken)?;
    if sealed.len() < TAG_BYTES {
        return Err(Fault::Broken);
    }
    let opened = keys.find_map(|key| Some((open_with(key, nonce, sealed)?, key)));
    let Some((plain, key)) = opened else {
        let id = nonce.get(..ID_BYTES).unwrap_or_default();
        return Err(Fault::Key(hex::text(id)));
    };
    String::from_utf8(plain).map(|text| (text, key)).map_err(|_| Fault::NoText)
}

fn open_with(key: &AesKey, nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let gcm = LessSafeKey::new(UnboundKey::new(gcm(key), key.bytes()).ok()?);
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = gcm.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
    Some(plain.to_vec())
}

fn gcm(key: &AesKey) -> &'static Algorithm {
    match key.bytes().len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    }
}

/// Decrypts a value of an older installation: base64 for URLs, perhaps without padding, of 16 bytes
/// to begin with and AES-CFB, padded as PKCS#7 says. Nothing in it proves the key: what has no
/// sound padding, is no text or holds control characters is taken for that of another.
#[must_use]
pub fn open_former(key: &AesKey, value: &str) -> Option<String> {
    let text = value.strip_prefix(MARK)?.trim_end_matches('=');
    // Which digits stand for 62 and 63 differs between the two alphabets alone.
    let text = text.replace('+', "-").replace('/', "_");
    let bytes = base64url::decode(text.as_bytes())?;
    let (first, sealed) = bytes.split_at_checked(BLOCK_BYTES)?;
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK_BYTES) {
        return None;
    }
    let algorithm = match key.bytes().len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let cfb = DecryptingKey::cfb128(UnboundCipherKey::new(algorithm, key.bytes()).ok()?).ok()?;
    let first: [u8; BLOCK_BYTES] = first.try_into().ok()?;
    let mut bytes = sealed.to_vec();
    let plain = cfb.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(first))).ok()?;
    let pad = usize::from(*plain.last()?);
    let (text, padding) = plain.split_at_checked(plain.len().checked_sub(pad)?)?;
    let is_sound =
        (1..=BLOCK_BYTES).contains(&pad) && padding.iter().all(|byte| usize::from(*byte) == pad);
    let text = std::str::from_utf8(text).ok()?;
    (is_sound && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
