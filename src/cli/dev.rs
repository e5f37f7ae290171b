//! `otus dev`: tokens, an issuer and a back end, to try out a configuration on one's own machine.
//! None of it is for production: keys live as long as the process.

mod server;

use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

use serde_json::json;

use super::args::{DevCommand, IssuerArgs, TokenArgs, UpstreamArgs};
use super::start::fail;
use crate::base::base64url;
use server::Answer;

/// The name of the key that the issuer signs with.
const KID: &str = "dev";
/// How long its tokens are good.
const GOOD_FOR: Duration = Duration::from_hours(1);

/// Does what is asked.
pub fn run(command: &DevCommand, out: &mut dyn Write) -> ExitCode {
    match command {
        DevCommand::Token(args) => match token(args) {
            Ok(token) => {
                let _ = writeln!(out, "{token}");
                ExitCode::SUCCESS
            }
            Err(message) => fail(&message),
        },
        DevCommand::Jwksmock(args) => issuer(args, out),
        DevCommand::Upstream(args) => upstream(args, out),
    }
}

/// What signs.
enum Signer {
    Secret(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    fn sign(&self, header_kid: Option<&str>, claims: &str) -> Result<String, String> {
        let algorithm = match self {
            Signer::Secret(_) => "HS256",
            Signer::Rsa(_) => "RS256",
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let (Some(kid), Some(header)) = (header_kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        let encode = base64url::encode;
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.as_bytes()));
        let signature = match self {
            Signer::Secret(key) => hmac::sign(key, signed.as_bytes()).as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    signed.as_bytes(),
                    &mut signature,
                )
                .map_err(|_| "the key does not sign".to_owned())?;
                signature
            }
        };
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

fn token(args: &TokenArgs) -> Result<String, String> {
    let signer = match (&args.secret, &args.key) {
        (Some(secret), None) => {
            Signer::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
        }
        (None, Some(path)) => {
            let name = path.display();
            let pem = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            let pair = pkcs8(&pem).and_then(|der| RsaKeyPair::from_pkcs8(&der).ok());
            let pair = pair.ok_or_else(|| format!("{name} is no RSA key in PEM (PKCS#8)"))?;
            Signer::Rsa(Box::new(pair))
        }
        _ => return Err("write --secret or --key".to_owned()),
    };
    let claims = claims(&args.sub, args.iss.as_deref(), args.aud.as_deref(), args.seconds);
    signer.sign(args.kid.as_deref(), &claims)
}

/// The claims of a token that is good from now on.
fn claims(sub: &str, iss: Option<&str>, aud: Option<&str>, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut claims = json!({"sub": sub, "iat": now, "exp": now.saturating_add(seconds)});
    for (name, value) in [("iss", iss), ("aud", aud)] {
        if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
            claims.insert(name.to_owned(), value.into());
        }
    }
    claims.to_string()
}

/// What stands between the lines of a PEM file.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let inner = pem.split_once("-----BEGIN PRIVATE KEY-----")?.1;
    let inner = inner.split_once("-----END PRIVATE KEY-----")?.0;
    let text: Vec<u8> = inner.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    base64url::decode_standard(&text)
}

/// An issuer with a key of its own: `/.well-known/jwks.json`, and `/token?sub=...` for the asking.
fn issuer(args: &IssuerArgs, out: &mut dyn Write) -> ExitCode {
    let Ok(pair) = RsaKeyPair::generate(KeySize::Rsa2048) else {
        return fail("no key could be made");
    };
    let Some(keys) = jwks(&pair) else { return fail("the key cannot be published") };
    let signer = Signer::Rsa(Box::new(pair));
    let (iss, aud) = (args.iss.clone(), args.aud.clone());
    server::serve(args.listen, out, "an issuer that signs whatever it is asked for", move |asked| {
        match asked.path {
            "/.well-known/jwks.json" | "/.well-known/jwks" => Answer::json(200, keys.clone()),
            "/token" => {
                let sub = asked.parameter("sub").unwrap_or("dev");
                let claims = claims(sub, iss.as_deref(), aud.as_deref(), GOOD_FOR.as_secs());
                match signer.sign(Some(KID), &claims) {
                    Ok(token) => Answer::text(200, token),
                    Err(message) => Answer::text(500, message),
                }
            }
            _ => Answer::text(404, "there are /.well-known/jwks.json and /token?sub=\n".to_owned()),
        }
    })
}

/// The public half of a key, as issuers publish it (RFC 7517).
fn jwks(pair: &RsaKeyPair) -> Option<String> {
    let (modulus, exponent) = numbers(pair.public_key().as_ref())?;
    let (modulus, exponent) = (base64url::encode(modulus), base64url::encode(exponent));
    let key = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": modulus, "e": exponent
    });
    Some(json!({ "keys": [key] }).to_string())
}

/// The two numbers of an `RSAPublicKey` (RFC 8017 §A.1.1), without the zero that signs them.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der)?;
    let (modulus, rest) = element(sequence)?;
    let (exponent, _) = element(rest)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// The content of the first element, and what follows it (X.690 §8.1).
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der.get(1..)? {
        [0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [0x81, length, rest @ ..] | [length, rest @ ..] => (usize::from(*length), rest),
        [] => return None,
    };
    rest.split_at_checked(length)
}

/// A back end that tells what reached it.
fn upstream(args: &UpstreamArgs, out: &mut dyn Write) -> ExitCode {
    let name = args.name.clone();
    server::serve(args.listen, out, "a back end that tells what reached it", move |asked| {
        Answer::json(200, asked.told(&name))
    })
}

#[cfg(test)]
mod tests;
