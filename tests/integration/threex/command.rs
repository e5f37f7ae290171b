//! The command itself: what it writes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use otus::cli::args::MigrateArgs;
use otus::cli::migrate;

use super::{File, HMAC, SECRET, document, route};

#[test]
fn a_file_is_written_for_its_owner_alone_and_replaced_only_if_that_is_said() {
    let name = std::env::temp_dir().join(format!("otus-threex-{}-command", std::process::id()));
    let from = File(name.with_extension("yaml"));
    let to = File(name.with_extension("toml"));
    let upstream = "127.0.0.1:9001".parse().unwrap();
    let text = document(HMAC, &route("a", "/a/", upstream, &["auth_required: true"]));
    fs::write(&from.0, &text).unwrap();
    let run = |out: bool, force: bool| {
        let args = MigrateArgs {
            from: "3x".to_owned(),
            file: Some(from.0.clone()),
            legacy_key: None,
            out: out.then(|| to.0.clone()),
            force,
        };
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let status = migrate::run(&args, &mut out, &mut told);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, text(out), text(told))
    };
    let (status, settings, report) = run(false, false);
    assert_eq!(status, ExitCode::SUCCESS, "{report}");
    assert!(settings.contains("[[route]]") && settings.contains(SECRET));
    assert!(report.contains("renamed       routes[0].name → route.id") && !report.contains(SECRET));
    assert!(!to.0.exists(), "without -o nothing is written");
    fs::write(&to.0, "mine").unwrap();
    let (status, _, told) = run(true, false);
    assert_eq!(status, ExitCode::FAILURE);
    assert!(told.contains("--force replaces it"), "{told}");
    assert_eq!(fs::read_to_string(&to.0).unwrap(), "mine");
    let (status, out, told) = run(true, true);
    assert_eq!((status, out.as_str()), (ExitCode::SUCCESS, ""), "{told}");
    assert_eq!(fs::read_to_string(&to.0).unwrap(), settings);
    assert_eq!(fs::metadata(&to.0).unwrap().mode() & 0o777, 0o600);
    // What the other gateway would have refused is told with its line, and nothing is written.
    fs::write(&from.0, text.replace("mode: hmac", "mode: magic")).unwrap();
    let (status, _, told) = run(true, true);
    assert_eq!(status, ExitCode::FAILURE);
    assert!(told.contains(".yaml:8: unknown mode of auth"), "{told}");
    assert_eq!(fs::read_to_string(&to.0).unwrap(), settings);
    let directory = to.0.parent().unwrap();
    let name = to.0.file_name().unwrap().to_str().unwrap().to_owned();
    let left = fs::read_dir(directory).unwrap().filter_map(Result::ok);
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name));
    assert_eq!(left.count(), 1, "no temporary file is left");
}
