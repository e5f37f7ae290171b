use crate::config::fault::Finding;
use crate::config::load::load;
use crate::config::source::{self, Source};
use crate::policy::auth::path::ClaimPath;
use crate::policy::auth::profile::Proof;
use crate::snapshot::Snapshot;
use crate::snapshot::auth::KeyPlace;

const NEEDED: &str = "server = { session = false }\n\
                      [upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n";
const LINES: usize = 3;

fn compile(text: &str) -> Result<(Snapshot, Vec<Finding>), Vec<Finding>> {
    let source = Source {
        path: "s.toml".into(),
        text: format!("{NEEDED}{text}"),
        env: vec![("LONG".into(), "0123456789abcdef0123456789abcdef".into())],
        ..Source::default()
    };
    let compiled = load(source).and_then(|(config, notes)| {
        let (snapshot, more) = config.compile(1, &source::leave)?;
        Ok((snapshot, [notes, more].concat()))
    });
    compiled.map_err(|faults| faults.list().to_vec())
}

/// What is wrong, with lines counted from the beginning of `text`.
fn found(text: &str) -> Vec<String> {
    let findings = match compile(text) {
        Ok((_, notes)) => notes,
        Err(faults) => faults,
    };
    findings.iter().map(Finding::line).collect()
}

fn route(auth: &str) -> String {
    format!("[[route]]\nid = \"r\"\nupstream = \"a\"\nmatch.prefix = \"/\"\nauth = {auth}\n")
}

#[test]
fn a_profile_is_read_whole() {
    let text = route("[\"main\", \"op\", \"anonymous\"]")
        + "forward_authorization = \"strip\"\n\
           [auth.main]\nkind = \"jwt\"\nurl = \"https://id.example/keys\"\n\
           ca = \"tests/none.pem\"\n";
    // Only the file is missing: everything else was understood.
    let text = text.replace("ca = \"tests/none.pem\"\n", "");
    let text = text
        + "algorithms = [\"RS256\", \"EdDSA\"]\nissuers = \"https://id.example\"\n\
           audiences = [\"a\", \"b\"]\naudience_match = \"all\"\nleeway = \"2m\"\n\
           roles = \"admin\"\nroles_claim = \"realm.roles\"\nscopes = [\"x\"]\n\
           propagate = [\"X-User-Id: sub\"]\nheaders = [\"Authorization\", \"X-Auth\"]\n\
           cookies = \"access_token\"\nkey_by = \"x5t#s256\"\nkey_name = \"optional\"\n\
           [auth.op]\nkind = \"static\"\ntoken_env = \"LONG\"\n";
    let (snapshot, notes) = compile(&text).unwrap();
    assert_eq!(notes.len(), 0, "{notes:?}");
    let [main, op] = &snapshot.auth.profiles[..] else { panic!("two profiles") };
    let Proof::Token { rules, source, .. } = &main.proof else { panic!("a token") };
    assert_eq!(*source, 0);
    assert_eq!(rules.claims.leeway.as_secs(), 120);
    assert!(rules.claims.all_audiences && !rules.key_name_needed);
    assert_eq!(rules.claims.roles.claim.as_str(), "realm.roles");
    assert_eq!(rules.propagated[0].field, "x-user-id");
    assert_eq!(main.places.fields, ["authorization", "x-auth"]);
    let Proof::Fixed(tokens) = &op.proof else { panic!("a fixed token") };
    assert_eq!(tokens[0].identity.subject, "op");
    assert!(!format!("{snapshot:?}").contains("0123456789abcdef"));
    let policies = snapshot.routes.list()[0].policies.as_ref().unwrap();
    let rule = policies.auth.as_ref().unwrap();
    assert!(rule.anonymous && rule.strips && rule.profiles == [0, 1]);
}

#[test]
fn profiles_that_ask_one_place_share_it() {
    let one = "kind = \"jwt\"\nurl = \"http://127.0.0.1:1/\"\n";
    let text = format!(
        "{}[auth.x]\n{one}[auth.y]\n{one}issuers = \"i\"\n[auth.z]\n{one}refresh = \"1m\"\n",
        route("[\"x\", \"y\", \"z\"]")
    );
    let (snapshot, _) = compile(&text).unwrap();
    assert_eq!(snapshot.auth.sources.len(), 2);
}

#[test]
fn nothing_is_silently_off() {
    let jwt = "[auth.x]\nkind = \"jwt\"\nurl = \"https://a/\"\n";
    for (text, line, message) in [
        (route("[\"main\"]"), 5, "OT0204: there is no `[auth.main]`; write a table [auth.<name>]"),
        (route("[\"y\"]") + jwt, 5, "OT0204: there is no `[auth.y]`; write one of \"x\""),
        (route("[]"), 5, "OT0201: `auth` names no profile"),
        (route("[\"anonymous\"]"), 5, "OT0201: `auth` names no profile"),
        (route("[\"anonymous\", \"x\"]") + jwt, 5, "OT0203: `auth` names \"anonymous\" before"),
        (route("[\"x\", \"x\"]") + jwt, 5, "OT0203: `auth` names \"x\" twice"),
        ("[auth.x]\nurl = \"https://a/\"".into(), 2, "OT0201: `[auth.x]` has no `kind`"),
        ("[auth.x]\nkind = \"jwt\"".into(), 2, "OT0201: `kind = \"jwt\"` needs `url` or `file`"),
        ("[auth.x]\nkind = \"hs256\"".into(), 2, "OT0201: `kind = \"hs256\"` needs `secret`"),
        ("[auth.x]\nkind = \"static\"".into(), 2, "OT0201: `kind = \"static\"` needs `token`"),
        (
            "[auth.x]\nkind = \"hs256\"\nsecret_env = \"LONG\"\nurl = \"https://a/\"".into(),
            4,
            "OT0203: `url` means nothing with `kind = \"hs256\"`",
        ),
        (
            "[auth.x]\nkind = \"jwt\"\nurl = \"http://id.example/\"".into(),
            3,
            "OT0203: `url` is plain HTTP",
        ),
        (
            "[auth.x]\nkind = \"jwt\"\nurl = \"file:///etc/keys\"".into(),
            3,
            "OT0106: `url = \"file:///etc/keys\"` is no URL",
        ),
        (format!("{jwt}algorithms = [\"none\"]"), 4, "OT0106: `algorithms`: \"none\" is none"),
        (format!("{jwt}algorithms = [\"HS256\"]"), 4, "OT0106: `algorithms`: what is published"),
        (format!("{jwt}algorithms = []"), 4, "OT0106: `algorithms` is empty"),
        (format!("{jwt}propagate = \"sub\""), 4, "OT0106: `propagate`: \"sub\" names no field"),
        (format!("{jwt}propagate = \"host: sub\""), 4, "OT0106: `propagate`: \"host: sub\""),
        (format!("{jwt}pass_prefixes = [\"\"]"), 4, "OT0106: `pass_prefixes` holds an empty"),
        (format!("{jwt}headers = [\"a b\"]"), 4, "OT0106: `headers`: \"a b\" is no name"),
        (
            "[auth.x]\nkind = \"jwt\"\nfile = \"/nowhere/keys.json\"".into(),
            3,
            "OT0106: /nowhere/keys.json: ",
        ),
        ("[auth.x]\nkind = \"mtls\"".into(), 2, "OT0201: `kind = \"mtls\"`: nobody is asked"),
        ("[auth.anonymous]\nkind = \"mtls\"".into(), 2, "OT0203: \"anonymous\" stands for those"),
    ] {
        let all = found(&text);
        let want = format!("s.toml:{}:", LINES + line);
        let is_it = |told: &String| told.starts_with(&want) && told.contains(message);
        assert!(all.iter().any(is_it), "{text}\n{want} {message}\n{all:#?}");
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let text = "[auth.x]\nkind = \"hs256\"\nsecret_env = \"LONG\"\n";
    assert!(found(text).is_empty());
    let long = format!("{text}algorithms = \"HS512\"\n");
    let refused = found(&long).remove(0);
    let start = "environment variable LONG: OT0105: the secret is shorter than the hash of its";
    assert!(refused.starts_with(start), "{refused}");
    assert!(compile(&format!("{long}short_secret = true\n")).is_ok());
}

#[test]
fn the_token_of_the_example_is_for_this_machine_only() {
    let text = "[auth.x]\nkind = \"static\"\ntoken = \"dev-token\"\n";
    let refused = found(text);
    assert!(refused[0].contains("OT0203: `token` is the one of the published example"));
    assert!(compile(text).is_err());
    assert!(compile(&format!("{text}allow_dev_token = true")).is_ok());
    let local = text.replace("[auth.x]", "[server]\nip = \"127.0.0.1\"\n[auth.x]");
    let local = Source {
        path: "s.toml".into(),
        text: local.replace("[server]\n", "[server]\nsession = false\n")
            + "[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n",
        ..Source::default()
    };
    let notes = load(local).map(|(_, notes)| notes).unwrap();
    assert!(notes.iter().any(|note| note.line().contains("short enough to be guessed")));
}

#[test]
fn a_path_with_claims_needs_tokens_that_have_some() {
    let hs256 = "[auth.x]\nkind = \"hs256\"\nsecret_env = \"LONG\"\n";
    let fixed = "[auth.y]\nkind = \"static\"\ntoken_env = \"LONG\"\n";
    let claimed = |route: String| route + "rewrite = \"/u/{JWT.org.id}/{JWT.sub}\"\n";
    let text = claimed(route("[\"y\", \"x\", \"anonymous\"]")) + hs256 + fixed;
    let (snapshot, notes) = compile(&text).unwrap();
    assert_eq!(notes.len(), 0, "{notes:?}");
    let policies = snapshot.routes.list()[0].policies.as_ref().unwrap();
    let claims = &policies.people.as_ref().unwrap().path_claims;
    assert_eq!(claims.iter().map(ClaimPath::as_str).collect::<Vec<_>>(), ["org.id", "sub"]);
    assert_eq!(policies.steps(|_| "p".into()), ["auth (p, p, anonymous)", "claims (org.id, sub)"]);
    let (snapshot, _) = compile(&(route("[\"x\"]") + "rewrite = \"/u\"\n" + hs256)).unwrap();
    assert_eq!(snapshot.routes.list()[0].policies.as_ref().unwrap().people, None);

    let nobody = "6:11: OT0203: `rewrite` names a claim of a token, and `auth` asks for no token \
                  that has any; write auth = [\"<name>\"] with";
    let redirect = claimed(route("[\"x\"]")).replace("upstream = \"a\"", "redirect.to = \"\"");
    for (text, want) in [
        (claimed(route("[\"y\"]")) + fixed, nobody),
        (claimed(route("[\"y\"]")).replace("auth = [\"y\"]", "priority = 1"), nobody),
        (
            redirect + hs256,
            "6:11: OT0203: `rewrite` names a claim, and nothing is forwarded; write",
        ),
        (
            route("[\"x\"]") + "rewrite = \"/u/{JWT.}\"\n" + hs256,
            "6:11: OT0106: `rewrite = \"/u/{JWT.}\"` has a parameter without a proper name; write",
        ),
    ] {
        let (line, message) = want.split_once(':').unwrap();
        let want = format!("s.toml:{}:{message}", LINES + line.parse::<usize>().unwrap());
        let all = found(&text);
        assert!(all.len() == 1 && all[0].starts_with(&want), "{text}\n{want}\n{all:#?}");
    }
}

#[test]
fn fingerprints_are_of_public_keys_of_https() {
    let https = "[auth.x]\nkind = \"jwt\"\nurl = \"https://a/\"\n";
    let (one, other) = ("A".repeat(43), format!("{}8=", "_".repeat(42)));
    let text = format!("{}{https}fingerprints = [\"{one}\", \"{other}\"]", route("[\"x\"]"));
    let (snapshot, notes) = compile(&text).unwrap();
    assert_eq!(notes.len(), 0, "{notes:?}");
    let KeyPlace::Url(_, Some(tls)) = &snapshot.auth.sources[0].place else { panic!("a URL") };
    assert_eq!(tls.spec.pins, [[0; 32], [255; 32]]);
    let http = https.replace("https://a/", "http://127.0.0.1/");
    let hs256 = "[auth.x]\nkind = \"hs256\"\nsecret_env = \"LONG\"\n";
    for (profile, value, want) in [
        (https, "[]", "OT0201: `fingerprints` is empty"),
        (https, "\"AAAA\"", "OT0106: `fingerprints`: \"AAAA\" is no base64url of 32 bytes; write"),
        (https, "\"\"", "OT0106: `fingerprints`: \"\" is no base64url"),
        (&http, &format!("\"{one}\""), "OT0203: `fingerprints` means nothing"),
        (hs256, &format!("\"{one}\""), "OT0203: `fingerprints` means nothing"),
    ] {
        let all = found(&format!("{profile}fingerprints = {value}\n"));
        let want = format!("s.toml:{}:16: {want}", LINES + 4);
        assert!(all.len() == 1 && all[0].starts_with(&want), "{want}\n{all:#?}");
    }
}
