use super::super::object::parse;
use super::*;

const NOW: u64 = 1_000_000;

fn rules() -> ClaimRules {
    ClaimRules { leeway: Duration::from_secs(10), ..ClaimRules::default() }
}

fn check(rules: &ClaimRules, claims: &str) -> Result<Facts, Denied> {
    rules.check(&parse(claims.as_bytes()).unwrap(), NOW)
}

/// The least that is needed, and these.
fn with(more: &str) -> String {
    format!(r#"{{"exp":1000100,"sub":"s"{more}}}"#)
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end() {
    for (claims, verdict) in [
        (r#"{"sub":"s"}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":"1000100"}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":null}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":-1}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":999990}"#, Err(Denied::Expired)),
        (r#"{"sub":"s","exp":999990.9}"#, Err(Denied::Expired)),
        (r#"{"sub":"s","exp":999991}"#, Ok(1_000_001)),
        (r#"{"sub":"s","exp":1e6}"#, Ok(1_000_010)),
        (r#"{"sub":"s","exp":18446744073709551615}"#, Ok(u64::MAX)),
        (r#"{"sub":"s","exp":1e300}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":1000100,"nbf":1000010}"#, Ok(1_000_110)),
        (r#"{"sub":"s","exp":1000100,"nbf":1000010.1}"#, Err(Denied::NotYet)),
        (r#"{"sub":"s","exp":1000100,"nbf":1000011}"#, Err(Denied::NotYet)),
        (r#"{"sub":"s","exp":1000100,"nbf":"0"}"#, Err(Denied::Claims)),
        (r#"{"sub":"s","exp":1000100,"iat":1000011}"#, Err(Denied::NotYet)),
        (r#"{"sub":"s","exp":1000100,"iat":true}"#, Err(Denied::Claims)),
    ] {
        assert_eq!(check(&rules(), claims).map(|facts| facts.until), verdict, "{claims}");
    }
}

#[test]
fn the_issuer_is_one_of_those_that_are_named() {
    let rules = ClaimRules { issuers: vec!["a".into(), "b".into()], ..rules() };
    assert!(check(&rules, &with(r#","iss":"b""#)).is_ok());
    for claims in ["", r#","iss":"c""#, r#","iss":["a"]"#, r#","iss":"""#, r#","iss":"a/""#] {
        assert_eq!(check(&rules, &with(claims)), Err(Denied::Issuer), "{claims}");
    }
    assert_eq!(check(&self::rules(), &with(r#","iss":1"#)), Err(Denied::Issuer));
    assert!(check(&self::rules(), &with("")).is_ok());
}

#[test]
fn the_audience_is_any_of_those_that_are_named_or_all() {
    let any = ClaimRules { audiences: vec!["a".into(), "b".into()], ..rules() };
    let all = ClaimRules { all_audiences: true, ..any.clone() };
    for (claims, of_any, of_all) in [
        ("", Err(Denied::Audience), Err(Denied::Audience)),
        (r#","aud":"b""#, Ok(()), Err(Denied::Audience)),
        (r#","aud":["x","a"]"#, Ok(()), Err(Denied::Audience)),
        (r#","aud":["b","x","a"]"#, Ok(()), Ok(())),
        (r#","aud":"a b""#, Err(Denied::Audience), Err(Denied::Audience)),
        (r#","aud":[]"#, Err(Denied::Audience), Err(Denied::Audience)),
        (r#","aud":["a",1]"#, Err(Denied::Claims), Err(Denied::Claims)),
        (r#","aud":{"a":1}"#, Err(Denied::Claims), Err(Denied::Claims)),
    ] {
        assert_eq!(check(&any, &with(claims)).map(drop), of_any, "{claims}");
        assert_eq!(check(&all, &with(claims)).map(drop), of_all, "{claims}");
    }
}

#[test]
fn there_is_a_subject_that_can_be_written_down() {
    for sub in [r#""""#, "null", "1", r#""a\nb""#, r#""a\u0000""#, r#"["a"]"#] {
        let claims = format!(r#"{{"exp":1000100,"sub":{sub}}}"#);
        assert_eq!(check(&rules(), &claims), Err(Denied::Subject), "{claims}");
    }
    let long = format!(r#"{{"exp":1000100,"sub":"{}"}}"#, "s".repeat(1025));
    assert_eq!(check(&rules(), &long), Err(Denied::Subject));
    let subject = vec![ClaimPath::new("sub"), ClaimPath::new("user.name")];
    let rules = ClaimRules { subject, ..rules() };
    let facts = check(&rules, r#"{"exp":1000100,"sub":"","user":{"name":"n"}}"#).unwrap();
    assert_eq!(facts.subject, "n");
}

#[test]
fn roles_and_scopes_decide_whether_it_is_allowed() {
    let mut rules = rules();
    rules.roles = Grants {
        claim: ClaimPath::new("realm.roles"),
        wanted: vec!["admin".into(), "root".into()],
        all: false,
    };
    rules.scopes.wanted = vec!["read".into(), "write".into()];
    let is_allowed = |rules: &ClaimRules, claims| check(rules, &with(claims)).unwrap().is_allowed;
    let both = r#","realm":{"roles":["x","root"]},"scope":"write""#;
    assert!(is_allowed(&rules, both));
    assert!(!is_allowed(&rules, r#","realm":{"roles":["x"]},"scope":"write""#));
    assert!(!is_allowed(&rules, r#","realm":{"roles":["root"]},"scope":"writer""#));
    assert!(!is_allowed(&rules, ""));
    rules.scopes.all = true;
    assert!(!is_allowed(&rules, both));
    assert!(is_allowed(&rules, r#","realm":{"roles":"admin"},"scope":["write","read"]"#));
    let facts = check(&rules, &with(both)).unwrap();
    assert_eq!(
        (facts.roles, facts.scopes),
        (vec!["x".into(), "root".into()], vec!["write".into()])
    );
}
