//! `otus key rotate` and `otus migrate config` that end anywhere: killed before each call that
//! changes something on the disk, or told by it that the disk is broken.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use otus::config::vault::key::AesKey;
use otus::config::vault::sealed::open;

use crate::support::folder::Folder;

/// What is on the disk is changed by these calls alone; `?`: where the machine has such a call.
const CHANGES: &str = "openat,write,fsync,fdatasync,renameat2,unlinkat,mkdirat,fchmod,fchmodat,\
    fchown,fchownat,linkat,symlinkat,truncate,ftruncate,fallocate,pwrite64,writev,?open,?creat,\
    ?rename,?renameat,?unlink,?mkdir,?rmdir,?chmod,?chown,?link,?symlink";
/// A value of an older Gufo, and the passwords that it has readable.
const OLDER: &str = "# mine\n[server]\nsign = \"$2a##EBESExQVFhcYGRobHB0eH2-LgQCEpzFnmQfnGIedm5o\"\n\
    session = false\n[security]\nmode = \"sign\"\naes_key_file = \"keys/secret.key\"\n\
    [database]\npassword = \"readable\"\n[email]\npassword = \"mailed\"\n";
const VALUES: [&str; 3] = ["hunter2", "readable", "mailed"];
const MIGRATE: [&str; 4] = ["migrate", "config", "--legacy-key", "old.key"];
const ROTATE: [&str; 2] = ["key", "rotate"];

/// A call of the program that changes something: its name, and the how manieth of this name it is.
type Change = (String, usize);

/// What becomes of such a call.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The program ends before it, as if the machine had lost its power for the program alone.
    Killed,
    /// It fails, and nothing of it was done.
    Failed,
}

fn older() -> Folder {
    let folder = Folder::new(OLDER);
    fs::write(folder.0.join("old.key"), (0..16).collect::<Vec<u8>>()).unwrap();
    folder
}

fn taken_over() -> Folder {
    let folder = older();
    let (passed, told) = folder.run(&MIGRATE, &[]);
    assert!(passed, "{told}");
    folder
}

/// Settings whose key was changed before: the key before that lies beside it.
fn rotated() -> Folder {
    let folder = taken_over();
    assert!(folder.run(&ROTATE, &[]).0);
    folder
}

/// Whether calls can be counted and ended here. Where everything is to be tested the tool must be
/// there; whether it may trace is for the system to say.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let can = tried.as_ref().is_ok_and(std::process::ExitStatus::success);
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(tried.is_ok() || !ci, "strace is needed and not there: {tried:?}");
    if !can {
        println!("skipped: strace is not installed, or may not trace here: {tried:?}");
    }
    can
}

/// Runs the program under strace, which is told this besides.
fn traced(folder: &Folder, options: &[&str], args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let program = folder.command(args, &[]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(options).arg(program.get_program()).args(args);
    command.current_dir(&folder.0).env_clear().env("PATH", path);
    command.output().unwrap()
}

/// The calls that change something, in their order.
fn changes(folder: &Folder, args: &[&str]) -> Vec<Change> {
    let notes = Folder::new("");
    let log = notes.0.join("log").display().to_string();
    let output = traced(folder, &["-o", &log, "-e", &format!("trace={CHANGES}")], args);
    assert!(output.status.success(), "{output:?}");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for line in notes.text("log").lines() {
        let call = line.split_once(' ').unwrap().1.trim_start();
        let Some((name, rest)) = call.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let opens = matches!(name, "open" | "openat");
        let tells = name.starts_with("write") && (rest.starts_with("1,") || rest.starts_with("2,"));
        let only_reads = opens && !rest.contains("O_CREAT") && !rest.contains("O_TRUNC");
        if !tells && !only_reads {
            found.push((name.to_owned(), *count));
        }
    }
    found
}

/// Does the work again and again in settings of its own, ended at one call each time.
#[track_caller]
fn at_each_change(args: &[&str], begin: fn() -> Folder, least: usize, end: End) {
    if !can_trace() {
        return;
    }
    let changes = changes(&begin(), args);
    assert!(changes.len() >= least, "{changes:?}");
    for (name, number) in changes {
        let what = format!("{args:?} at {name} {number}");
        let folder = begin();
        let before = folder.text("settings.toml");
        let how = if end == End::Killed { "signal=KILL" } else { "error=EIO" };
        let inject = format!("inject={name}:{how}:when={number}");
        let options = ["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject];
        let output = traced(&folder, &options, args);
        if end == End::Killed {
            assert_eq!(output.status.signal(), Some(9), "{what}: {output:?}");
        } else {
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {told}");
            assert!(told.contains("can be read as before: begin again"), "{what}: {told}");
            assert!(!names(&folder).iter().any(|name| name.contains(".new")), "{what}");
        }
        is_readable(&folder, &before, &what);
        let (passed, told) = folder.run(args, &[]);
        assert!(passed, "{what}, and again: {told}");
        is_readable(&folder, "", &what);
        let mut left = names(&folder);
        // Settings of an older Gufo have no key that was before.
        left.retain(|name| name != "secret.key.old");
        assert_eq!(left, ["old.key", "secret.key", "settings.toml"], "{what}");
    }
}

/// The files of settings and of keys.
fn names(folder: &Folder) -> Vec<String> {
    let mut all = Vec::new();
    for place in [folder.0.clone(), folder.0.join("keys")] {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        let entries = entries.map(Result::unwrap).filter(|entry| entry.path().is_file());
        all.extend(entries.map(|entry| entry.file_name().into_string().unwrap()));
    }
    all.sort();
    all
}

/// The settings are as they were, or there is one key that opens all of them; the program finds
/// it as well, and nobody else can read it.
#[track_caller]
fn is_readable(folder: &Folder, before: &str, what: &str) {
    let text = folder.text("settings.toml");
    assert!(text.starts_with("# mine\n[server]\n"), "{what}: {text}");
    let mut keys = Vec::new();
    for name in names(folder).iter().filter(|name| name.starts_with("secret.key")) {
        let path = folder.0.join("keys").join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{what}: {name}");
        // What only begins to be written need be no key, and is not looked at.
        if ["secret.key", "secret.key.next"].contains(&name.as_str()) {
            keys.push(AesKey::parse(&fs::read(path).unwrap()).expect(what));
        }
    }
    if before == OLDER && text == OLDER {
        return;
    }
    let sealed: Vec<&str> = text.split('"').filter(|part| part.starts_with("$2a##")).collect();
    let plain = |key: &AesKey| -> Option<Vec<String>> {
        let opened = sealed.iter().map(|value| open([key].into_iter(), value));
        opened.map(|opened| opened.map(|(text, _)| text).ok()).collect()
    };
    let opened: Vec<_> = keys.iter().filter_map(plain).collect();
    assert_eq!(opened, [VALUES.map(str::to_owned)], "{what}: {keys:?}\n{text}");
    let (passed, told) = folder.run(&["check", "settings.toml"], &[]);
    assert!(passed, "{what}: {told}");
}

#[test]
fn a_key_rotation_that_is_killed_anywhere_leaves_readable_settings_and_one_key() {
    at_each_change(&ROTATE, rotated, 19, End::Killed);
}

#[test]
fn a_key_rotation_whose_disk_fails_anywhere_leaves_readable_settings_and_one_key() {
    at_each_change(&ROTATE, rotated, 19, End::Failed);
}

#[test]
fn a_takeover_that_is_killed_anywhere_is_not_begun_or_done() {
    at_each_change(&MIGRATE, older, 10, End::Killed);
}

#[test]
fn a_takeover_whose_disk_fails_anywhere_is_not_begun_or_done() {
    at_each_change(&MIGRATE, older, 10, End::Failed);
}
